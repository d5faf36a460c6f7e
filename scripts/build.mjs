// One CJS bundle runs: dist/vipwire.cjs, with the netlink addon's prebuilt file for each architecture beside it.
import { build } from 'esbuild';
import { basename } from 'node:path';
import { chmodSync, cpSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
// Made aside and then put in place: whoever runs the old one meanwhile goes on.
const folder = mkdtempSync('.dist-');
await build({
  entryPoints: ['bin/vipwire.ts'],
  outfile: `${folder}/vipwire.cjs`,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  banner: { js: '#!/usr/bin/env node' },
  define: { VIPWIRE_VERSION: JSON.stringify(version) },
  sourcemap: false,
  legalComments: 'none',
  logLevel: 'warning',
  plugins: [
    {
      // Each line of the log names the source that it comes from: telemetry/logger takes a text for `this` as that name.
      name: 'log-callers',
      setup(b) {
        b.onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
          const source = readFileSync(path, 'utf8');
          const contents = source.replace(
            /\b(log(?:\.(?:error|warn|info|debug|trace)|\[\w+\]))\(/g,
            (_, method, at) => `${method}.call("${basename(path)}:${source.slice(0, at).split('\n').length}", `,
          );
          return { contents, loader: 'ts' };
        });
      },
    },
    {
      // The addon looks for prebuilds/ one folder above its own module; in the bundle that is dist/ itself.
      name: 'netlink-prebuilds',
      setup(b) {
        b.onLoad({ filter: /netlink\/dist\/raw\.js$/ }, ({ path }) => ({
          contents: readFileSync(path, 'utf8').replace("(__dirname + '/..')", '(__dirname)'),
        }));
      },
    },
  ],
});
chmodSync(`${folder}/vipwire.cjs`, 0o755);
for (const arch of ['linux-x64', 'linux-arm64'])
  cpSync(`node_modules/netlink/prebuilds/${arch}`, `${folder}/prebuilds/${arch}`, { recursive: true });
chmodSync(folder, 0o755);
rmSync('dist', { recursive: true, force: true });
renameSync(folder, 'dist');
