// Checks the layers of src/README.md: it runs dependency-cruiser with .dependency-cruiser.cjs, and checks that dependency-cruiser saw
// the modules. With a TypeScript version that it does not support, or with a wrong path, it sees no module and reports no problem.
import { cruise } from 'dependency-cruiser';
import readOptions from 'dependency-cruiser/config-utl/extract-depcruise-options';
import readTsConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import { readdirSync } from 'node:fs';

const folders = ['bin', 'src', 'test', 'scripts'];
const options = await readOptions('./.dependency-cruiser.cjs');
const { forbidden } = options.ruleSet;
const cruised = await cruise(folders, options, undefined, { tsConfig: readTsConfig('tsconfig.json') });
const { modules, summary } = cruised.output;
const own = modules.filter(({ source }) => folders.includes(source.split('/', 1)[0]));
const seen = new Set(own.map(({ source }) => source));
const edges = own.reduce((sum, { dependencies }) => sum + dependencies.length, 0);

const problems = summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);
const files = folders.flatMap((folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.d.ts'))
    .map((entry) => `${entry.parentPath}/${entry.name}`),
);
for (const file of files) if (!seen.has(file)) problems.push(`not seen: ${file}`);
if (files.length < 50 || edges < 2 * files.length)
  problems.push(`suspiciously few: ${files.length} files, ${edges} imports`);
for (const file of files) if (/^src\/[^/]+$/.test(file)) problems.push(`outside the folders of src: ${file}`);
for (const { name, from } of forbidden)
  if (from.path !== undefined && !files.some((file) => new RegExp(from.path).test(file)))
    problems.push(`rule ${name} matches no file: ${from.path}`);
const rules = forbidden.map(({ from }) => new RegExp(from.path ?? '^$'));
for (const folder of readdirSync('src', { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
  // cli may import everything.
  const name = `src/${folder.name}/`;
  if (folder.name !== 'cli' && !rules.some((rule) => rule.source.startsWith(`^${name.replaceAll('/', '\\/')}`)))
    problems.push(`no layer rule for ${name}`);
}

for (const problem of problems) console.error(problem);
console.log(
  `layers: ${files.length} files, ${edges} imports, ${forbidden.length} rules, ${problems.length} violations`,
);
process.exitCode = problems.length > 0 ? 1 : 0;
