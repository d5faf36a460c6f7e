import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError, runCommand } from '../../src/host/command';
import { lockedCommand, waitForLock } from '../../src/host/lock';

let folder: string;
let lockFile: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vipwire-lock-'));
  lockFile = join(folder, 'lock');
});
afterEach(() => rm(folder, { recursive: true }));

/** A process that starts a locked tool, as an agent would, and is killed while the tool goes on; returns when it is dead. */
async function orphanTool(script: string): Promise<void> {
  const { file, args } = lockedCommand(lockFile, 'sh', ['-c', `echo started; ${script}`]);
  const source = `require('child_process').spawn(${JSON.stringify(file)}, ${JSON.stringify(args)},
    { detached: true, stdio: ['ignore', 1, 'ignore'] }); setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(parent.stdout, 'data');
  parent.stdout.destroy();
  parent.kill('SIGKILL');
  await once(parent, 'exit');
}

test('the next process waits for the tool of one that was killed', async () => {
  await orphanTool(`sleep 0.6; touch ${folder}/written`);
  const start = performance.now();
  await waitForLock(runCommand, lockFile, 5_000);
  expect(performance.now() - start).toBeGreaterThan(300);
  // It has done all it had to.
  await runCommand('test', ['-e', join(folder, 'written')]);
});

test('so does the next tool', async () => {
  await orphanTool(`sleep 0.6; touch ${folder}/written`);
  const { file, args } = lockedCommand(lockFile, 'test', ['-e', join(folder, 'written')]);
  await runCommand(file, args);
});

test('waiting ends at the timeout', async () => {
  await orphanTool('sleep 1');
  expect(await waitForLock(runCommand, lockFile, 100)).toBe('held');
});

test('a free lock is not waited for', async () => {
  expect(await waitForLock(runCommand, lockFile, 0)).toBe('free');
});

test('input, output, exit code and errors are the tool’s', async () => {
  const cat = lockedCommand(lockFile, 'cat', []);
  expect((await runCommand(cat.file, cat.args, { input: 'rules\n' })).stdout).toBe('rules\n');
  const failing = lockedCommand(lockFile, 'sh', ['-c', 'echo line 3 failed >&2; exit 4']);
  const error: unknown = await runCommand(failing.file, failing.args).catch((error: unknown) => error);
  expect(error).toMatchObject({ exitCode: 4, stderr: 'line 3 failed\n' });
  await waitForLock(runCommand, lockFile, 0);
});

test('signals are the tool’s, and the lock goes with it', async () => {
  const { file, args } = lockedCommand(lockFile, 'sleep', ['5']);
  await expect(runCommand(file, args, { timeoutMs: 100 })).rejects.toBeInstanceOf(CommandError);
  await waitForLock(runCommand, lockFile, 500);
});

test('there is none where its file cannot be', async () => {
  expect(await waitForLock(runCommand, join(folder, 'no/such/folder'), 0)).toBe('unavailable');
});
