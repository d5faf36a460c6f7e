import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

describeAsRoot('the iptables backend, in a network namespace', () => {
  describe.each(['nft', 'legacy'])('%s', (variant) => {
    test.each(['IPv4', 'IPv6'])(
      '%s: what a fresh process reads is what it would write; cleanup leaves what is foreign',
      async (family) => {
        const told = await runInNetworkNamespace(join(__dirname, 'iptables-backend.guest.ts'), family, variant);
        expect(told).toEqual({
          steps: 1,
          again: ['', '', '', '', ''],
          canMatch: ['found', 'absent'],
          canaries: ['found', 'absent'],
          left: ['-A POSTROUTING -j RETURN'],
        });
      },
    );
  });
});
