import { join } from 'node:path';
import { goldenSequences } from '../golden/golden-files';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

const files = goldenSequences().flatMap((sequence) => sequence.files);
const wholeRuleSets = files.filter(({ path }) => !path.includes('.change.'));

describeAsRoot('golden files and the real tool', () => {
  test.each(['nft', 'legacy'])(
    '%s takes them all, and prints the rules in the same words',
    async (variant) => {
      const told = await runInNetworkNamespace(join(__dirname, 'golden.guest.ts'), variant);
      // Whole rule sets twice, first with --test.
      expect(told).toEqual({ refused: [], unlike: [], accepted: files.length + wholeRuleSets.length });
    },
    60_000,
  );
});
