import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

interface Told {
  readonly frontends: number;
  readonly different: readonly { readonly aspect?: string }[];
}

describeAsRoot('what nft lists of our tables', () => {
  test.each([1, 2, 3])('random Plans %i: connections go where the Plan says', async (seed) => {
    const told = (await runInNetworkNamespace(join(__dirname, 'nft-plans.guest.ts'), seed.toString())) as Told;
    expect(told.different).toEqual([]);
    expect(told.frontends).toBeGreaterThan(30);
  });
});
