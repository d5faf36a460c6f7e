import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

interface Told {
  readonly byNft: { readonly nftables: readonly unknown[] };
  readonly byUs: { readonly nftables: readonly unknown[] };
}

describeAsRoot('tables of nf_tables in JSON', () => {
  test.each([1, 2, 3, 4, 5])('random table %i: as nft prints them', async (seed) => {
    const told = (await runInNetworkNamespace(join(__dirname, 'nft-json.guest.ts'), seed.toString())) as Told[];
    expect(told).toHaveLength(2);
    for (const { byNft, byUs } of told) {
      expect(byUs.nftables).toEqual(byNft.nftables);
      expect(byNft.nftables.length).toBeGreaterThan(10);
    }
  });
});
