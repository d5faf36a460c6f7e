import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

interface WriterTold {
  readonly listed: readonly string[];
  readonly others: string;
  readonly refused: readonly unknown[];
  readonly isUntouched: boolean;
  readonly emptied: string;
  readonly left: string;
}
interface Told {
  readonly byNetlink: WriterTold;
  readonly byTool: WriterTold;
}

describeAsRoot('the drivers of nftables mode', () => {
  test.each([11, 12, 13])('random table %i: netlink and the tool write the same, and remove it', async (seed) => {
    const told = (await runInNetworkNamespace(join(__dirname, 'nft-driver.guest.ts'), seed.toString())) as Record<
      string,
      Told
    >;
    expect(Object.keys(told)).toEqual(['IPv4', 'IPv6']);
    for (const { byNetlink, byTool } of Object.values(told)) {
      expect(byNetlink.listed).toEqual(byTool.listed);
      expect(byNetlink.listed[0]).toMatch(/vipwire-endpoints/);
      // The writes at fault, and with them nothing of the transaction.
      for (const { refused, isUntouched } of [byNetlink, byTool]) {
        expect(refused).toEqual([[[1, 'ENOENT']], [[1, 'ENOENT']]]);
        expect(isUntouched).toBe(true);
      }
      for (const { others } of [byNetlink, byTool]) expect(others).toMatch(/^-N THEIRS$/m);
      for (const { emptied, left } of [byNetlink, byTool]) {
        expect(emptied).toMatch(
          /^table ip6? kube-proxy \{\n\tcomment "vipwire: rules for Services"\n\n?\tchain filter-input \{/,
        );
        expect(emptied.match(/^\t(chain|set|map) /gm)).toHaveLength(1);
        expect(left).toBe('');
      }
    }
  });
});
