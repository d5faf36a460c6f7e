// Runs a TypeScript file of this repository, because Node 20 cannot do that itself. Usage: node scripts/run-ts.mjs FILE.ts ARGS...
import { build } from 'esbuild';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const [file, ...args] = process.argv.slice(2);
const entry = resolve(file);
process.chdir(root);
process.argv = [process.argv[0], entry, ...args];

const folder = mkdtempSync(join(tmpdir(), `vipwire-run-ts-${process.pid}-`));
const remove = () => rmSync(folder, { recursive: true, force: true });
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const leave = (signal) => {
  remove();
  process.exit(128 + constants.signals[signal]);
};
for (const signal of signals) process.on(signal, leave);
try {
  const outfile = join(folder, 'main.mjs');
  // Packages are not bundled; the program finds them through this link.
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  // esbuild returns the output here, because its own process might still write after this one has ended.
  const { outputFiles } = await build({
    entryPoints: [entry],
    write: false,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    packages: 'external',
    logLevel: 'warning',
  });
  writeFileSync(outfile, outputFiles[0].contents);
  // Importing the file starts its work and its own signal handlers. After that, the file on disk is no longer needed.
  await import(pathToFileURL(outfile).href);
} finally {
  for (const signal of signals) process.off(signal, leave);
  remove();
}
