// Runs a TypeScript file of this repository, which Node 20 cannot by itself: node scripts/run-ts.mjs FILE.ts ARGS...
import { build } from 'esbuild';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const [file, ...args] = process.argv.slice(2);
const entry = resolve(file);
process.chdir(root);
// Inside node_modules, so that packages are found from there and stay out of the bundle.
const cache = join(root, 'node_modules', '.cache');
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(join(cache, 'run-ts-'));
const outfile = join(folder, 'main.mjs');
process.argv = [process.argv[0], entry, ...args];
try {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    packages: 'external',
    logLevel: 'warning',
  });
  // The file starts its work when it is loaded, and is no longer needed then.
  await import(pathToFileURL(outfile).href);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
