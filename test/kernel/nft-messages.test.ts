import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

interface Told {
  readonly byText: readonly string[];
  readonly byMessages: readonly string[];
  readonly again: readonly string[];
}

describeAsRoot('tables of nf_tables, by our messages and by nft', () => {
  test.each([1, 2, 3, 4])('random table %i: the kernel holds the same, and nft takes what it prints', async (seed) => {
    const told = (await runInNetworkNamespace(join(__dirname, 'nft-messages.guest.ts'), seed.toString())) as Record<
      string,
      Told
    >;
    for (const { byText, byMessages, again } of Object.values(told)) {
      expect(byMessages).toEqual(byText);
      expect(again.slice(0, 2)).toEqual(byText.slice(0, 2));
    }
    expect(Object.keys(told)).toEqual(['IPv4', 'IPv6']);
  });
});
