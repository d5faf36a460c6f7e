/** The table of layers in src/README.md is what npm run layers enforces. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

interface Rule {
  readonly from: { readonly path?: string };
  readonly to: { readonly path?: string };
}

const { forbidden } = createRequire(resolve('package.json'))('./.dependency-cruiser.cjs') as { forbidden: Rule[] };
const rows = [...readFileSync('src/README.md', 'utf8').matchAll(/^\| `(\w+)\/` \| .* \| ([^|]+) \|$/gm)].map(
  ([, folder = '', imports = '']) => ({ folder, imports }),
);

/** What the rule of a folder lets it import, besides itself; undefined: there is no such rule. */
function allowed(folder: string): string[] | undefined {
  const rule = forbidden.find(({ from, to }) => from.path === `^src/${folder}/` && to.path?.startsWith('^src/(?!'));
  const names = rule?.to.path?.slice('^src/(?!'.length).match(/\w+/g);
  return names?.filter((name) => name !== folder).sort();
}

test('every folder has a row', () => {
  const folders = readdirSync('src', { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(rows.map(({ folder }) => folder).sort()).toEqual(folders.map(({ name }) => name).sort());
});

test.each(rows.filter(({ folder }) => folder !== 'cli'))('$folder imports what its row says', ({ folder, imports }) => {
  expect(imports === 'nothing' ? [] : imports.split(', ').sort()).toEqual(allowed(folder));
});
