import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

describeAsRoot('packet counters, in a network namespace', () => {
  test('rules of both variants count, are read back as they were written, and survive the removal of a counter', async () => {
    const counted = { hasNfacct: true, onLocalhost: 1, inUse: true, again: '', rewritten: true };
    expect(await runInNetworkNamespace(join(__dirname, 'packet-counters.guest.ts'))).toEqual({
      before: 'none',
      counted: { nft: counted, legacy: counted },
      after: 'none',
    });
  });
});
