import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ended } from './bundle';

const folder = mkdtempSync(join(tmpdir(), 'vipwire-go-runner-'));
const log = join(folder, 'log');
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => rmSync(log, { force: true }));

const speak = ['sh', '-c', 'echo out; echo err >&2; exit 3'];
const run = (...args: string[]) => ended(execFile('scripts/go-runner', args));

test("kOps's command line: to the file and to standard output", async () => {
  const args = [`--log-file=${log}`, '--also-stdout', ...speak];
  expect(await run(...args)).toEqual({ code: 3, stdout: 'out\nerr\n', stderr: '' });
  await run(...args);
  expect(readFileSync(log, 'utf8')).toBe('out\nerr\nout\nerr\n');
});

test.each([
  [[`-log-file=${log}`], '', ''],
  [[`--log-file=${log}`, '--redirect-stderr=false'], '', 'err\n'],
  [['--also-stdout', '--flush-interval=5s'], 'out\nerr\n', ''],
])('%j', async (flags, stdout, stderr) => {
  expect(await run(...flags, ...speak)).toEqual({ code: 3, stdout, stderr });
});

test('signals are for the command', async () => {
  const child = spawn('scripts/go-runner', [`--log-file=${log}`, '--also-stdout', 'sleep', '60']);
  const end = ended(child);
  await new Promise((resolve) => setTimeout(resolve, 300));
  child.kill('SIGTERM');
  expect((await end).code).toBeNull();
});

test.each([
  [['--log-fil=x', 'true'], 'go-runner: unknown flag --log-fil=x\n'],
  [['--also-stdout'], 'go-runner: no command\n'],
])('%j is refused', async (args, stderr) => {
  expect(await run(...args)).toEqual({ code: 2, stdout: '', stderr });
});
