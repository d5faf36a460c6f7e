import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

interface Told {
  readonly missing: unknown;
  readonly written: number;
  readonly left: string;
  readonly none: unknown;
  readonly dropping: unknown;
}

describeAsRoot('questions to nf_tables', () => {
  let told: Told;
  beforeAll(async () => {
    told = (await runInNetworkNamespace(join(__dirname, 'nft-questions.guest.ts'))) as Told;
  }, 60_000);

  test('this kernel has all that is used, and asking writes nothing', () => {
    expect(told).toMatchObject({ missing: { IPv4: [], IPv6: [] }, written: 0, left: '' });
  });

  test('chains whose policy is drop are named, whoever made them', () => {
    expect(told.none).toEqual([]);
    expect(told.dropping).toEqual([
      { name: 'inet firewalld forward', hook: 'forward' },
      { name: 'ip6 filter INPUT', hook: 'input' },
    ]);
  });
});
