// Builds the program: one CommonJS bundle, dist/vipwire.cjs, with the netlink addon's prebuilt file for each architecture beside it.
import { build } from 'esbuild';
import { basename } from 'node:path';
import { chmodSync, cpSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
// The new dist/ is built in another folder and then moved into place, so that the old one works until then.
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
      // Each log line names the source line that it comes from. src/telemetry/logger.ts takes that name from `this`, if it is a string.
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
      // The addon looks for prebuilds/ one folder above its own module. In the bundle, prebuilds/ is in the module's own folder, dist/.
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
