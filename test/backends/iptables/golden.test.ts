import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { goldenSequences } from '../../golden/golden-files';
import { FakeIptables } from '../../support/fake-iptables';

const folder = join('test', 'golden');
const sequences = goldenSequences();

/** scripts/refresh-golden. */
function rewrite(): void {
  rmSync(join(folder, 'iptables'), { recursive: true, force: true });
  for (const { path, text } of sequences.flatMap(({ files }) => files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

if (process.env.REFRESH_GOLDEN === '1') rewrite();

/** As iptables-save prints it, in an order that does not depend on who came first. */
async function load(...texts: readonly string[]): Promise<string[]> {
  const kernel = new FakeIptables();
  for (const text of texts) await kernel.restore(withoutComments(text));
  return kernel.print().split('\n').sort();
}

function withoutComments(text: string): string {
  return text.replaceAll(/^#.*\n/gm, '');
}

test('there is a file for each, and no other', () => {
  const there = readdirSync(join(folder, 'iptables'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.rules'))
    .map((path) => join('iptables', path));
  expect(there.sort()).toEqual(sequences.flatMap(({ files }) => files.map(({ path }) => path)).sort());
});

describe.each(sequences.map((sequence) => [sequence.name, sequence.family, sequence] as const))(
  '%s, %s',
  (_, __, { files, last }) => {
    test.each(files.map(({ path, text }) => [path, text] as const))('%s', (path, text) => {
      expect(text).toBe(readFileSync(join(folder, path), 'utf8'));
    });

    test('the rules and the changes after them give the rules of a fresh start', async () => {
      expect(await load(...files.map(({ text }) => text))).toEqual(await load(last));
    });
  },
);
