import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vipwire-last-resort-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const program = `
import { endOnFaults } from './src/daemon/last-resort';
import { createLogger } from './src/telemetry/logger';
endOnFaults(createLogger({ verbosity: 0, format: 'text' }));
setTimeout(() => {
  if (process.argv[2] === 'throw') throw new Error('a bad day');
  void Promise.reject(process.argv[2] === 'text' ? 'a bad day' : new Error('a bad day'));
}, 1);
setTimeout(() => process.exit(0), 5000);
`;

test.each(['throw', 'reject', 'text'])('what nobody took care of is said, and ends the process with 1: %s', (how) => {
  const file = join(folder, 'program.cjs');
  const options = ['--bundle', '--platform=node', '--format=cjs', '--log-level=warning', `--outfile=${file}`];
  const bundled = spawnSync('node_modules/.bin/esbuild', options, { input: program, encoding: 'utf8' });
  expect(bundled.stderr).toBe('');
  const { status, stderr } = spawnSync(process.execPath, [file, how], { encoding: 'utf8' });
  expect(stderr).toMatch(
    /^E\d{4} .*"vipwire ends: this is a fault of its own" fault=("a bad day"|<\n\tError: a bad day\n)/,
  );
  expect(status).toBe(1);
});
