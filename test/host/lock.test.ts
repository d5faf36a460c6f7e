import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, lstatSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError, PreparedCommands, type RunCommand, runCommand } from '../../src/host/command';
import { type LockFile, lockFileOf, makeLockFile, waitForLock, WriteLock } from '../../src/host/lock';

let folder: string;
let lockFile: LockFile;
let told: (string | undefined)[];
let lock: WriteLock;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vipwire-lock-'));
  lockFile = lockFileOf('writes', join(folder, 'run'));
  told = [];
  lock = new WriteLock(lockFile, (reason) => told.push(reason));
});
afterEach(() => rm(folder, { recursive: true }));

/** A process that starts a locked tool, as an agent would, and is killed while the tool goes on; returns when it is dead. */
async function orphanTool(script: string): Promise<void> {
  const { file, args } = lock.command('sh', ['-c', `echo started; ${script}`]);
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
  const { file, args } = lock.command('test', ['-e', join(folder, 'written')]);
  await runCommand(file, args);
});

test('waiting ends at the timeout', async () => {
  await orphanTool('sleep 1');
  expect(await waitForLock(runCommand, lockFile, 100)).toEqual({ kind: 'held' });
});

test('a free lock is not waited for', async () => {
  expect(await waitForLock(runCommand, lockFile, 0)).toEqual({ kind: 'free' });
});

test('input, output, exit code and errors are the tool’s', async () => {
  const cat = lock.command('cat', []);
  expect((await runCommand(cat.file, cat.args, { input: 'rules\n' })).stdout).toBe('rules\n');
  const failing = lock.command('sh', ['-c', 'echo line 3 failed >&2; exit 4']);
  const error: unknown = await runCommand(failing.file, failing.args).catch((error: unknown) => error);
  expect(error).toMatchObject({ exitCode: 4, stderr: 'line 3 failed\n' });
  await waitForLock(runCommand, lockFile, 0);
});

test('signals are the tool’s, and the lock goes with it', async () => {
  const { file, args } = lock.command('sleep', ['5']);
  await expect(runCommand(file, args, { timeoutMs: 100 })).rejects.toBeInstanceOf(CommandError);
  await waitForLock(runCommand, lockFile, 500);
});

test('there is none where its file cannot be', async () => {
  const nowhere = lockFileOf('writes', '/proc/no/such/folder');
  expect(await waitForLock(runCommand, nowhere, 0)).toEqual({
    kind: 'unavailable',
    reason: expect.stringContaining('ENOENT') as string,
  });
});

const isRoot = process.getuid?.() === 0;
const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);
const write = async (run: RunCommand = runCommand): Promise<string> => {
  const { file, args } = lock.command('cat', ['-']);
  return (await lock.orWithout(run)(file, args, { input: 'rules' })).stdout;
};

describe('nobody else can take the lock', () => {
  test('its file and folder are made for this user alone', () => {
    const umask = process.umask(0);
    try {
      expect(makeLockFile(lockFile)).toBeUndefined();
    } finally {
      process.umask(umask);
    }
    expect([mode(lockFile.folder), mode(lockFile.path)]).toEqual(['700', '600']);
  });

  test('those of an earlier version become so', () => {
    mkdirSync(lockFile.folder, { mode: 0o755 });
    writeFileSync(lockFile.path, '', { mode: 0o644 });
    chmodSync(lockFile.folder, 0o777);
    expect(makeLockFile(lockFile)).toBeUndefined();
    expect([mode(lockFile.folder), mode(lockFile.path)]).toEqual(['700', '600']);
  });

  (isRoot ? test : test.skip)('another user cannot', async () => {
    makeLockFile(lockFile);
    chmodSync(folder, 0o755);
    const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', 'flock', '-n', lockFile.path, 'true'];
    await expect(runCommand('setpriv', asNobody)).rejects.toThrow(/Permission denied/);
  });

  (isRoot ? test : test.skip).each(['folder', 'path'] as const)(
    'its %s is not used where it is another user’s',
    async (which) => {
      makeLockFile(lockFile);
      chownSync(lockFile[which], 65534, 65534);
      expect(makeLockFile(lockFile)).toMatch(/belongs to user 65534/);
      expect(await write()).toBe('rules');
    },
  );

  test('links are not followed', async () => {
    symlinkSync(folder, lockFile.folder);
    expect(makeLockFile(lockFile)).toMatch(/is not a folder/);
    rmSync(lockFile.folder);
    mkdirSync(lockFile.folder, { mode: 0o700 });
    symlinkSync(join(folder, 'elsewhere'), lockFile.path);
    expect(makeLockFile(lockFile)).toMatch(/ELOOP/);
    expect(() => lstatSync(join(folder, 'elsewhere'))).toThrow(/ENOENT/);
    expect(await write()).toBe('rules');
    expect(told).toHaveLength(1);
  });
});

describe('while it is in use', () => {
  const prepared = new PreparedCommands();
  afterAll(() => prepared.close());

  test('a folder that is deleted is made again', async () => {
    expect(await write()).toBe('rules');
    rmSync(lockFile.folder, { recursive: true });
    expect(await write()).toBe('rules');
    expect(mode(lockFile.path)).toBe('600');
    expect(told).toEqual([]);
  });

  test('where it cannot be made any more, writes go without, which is said once, and with it when it can', async () => {
    expect(await write()).toBe('rules');
    rmSync(lockFile.folder, { recursive: true });
    writeFileSync(lockFile.folder, 'in the way');
    for (let n = 0; n < 3; n++) expect(await write()).toBe('rules');
    expect(told).toEqual([expect.stringMatching(/EEXIST|ENOTDIR|is not a folder/) as string]);
    rmSync(lockFile.folder);
    expect(await write()).toBe('rules');
    expect(told).toEqual([expect.any(String) as string, undefined]);
  });

  test.each([66, 69, 71, 73])('where flock itself fails (exit %d), the write goes without', async (exitCode) => {
    const failing: RunCommand = (file, args, options) =>
      file === 'flock' ? runCommand('sh', ['-c', `exit ${exitCode}`]) : runCommand(file, args, options);
    expect(await write(failing)).toBe('rules');
    expect(told).toHaveLength(1);
  });

  test('a tool that was prepared with a lock of before writes too', async () => {
    for (let n = 0; n < 2; n++) {
      expect(await write(prepared.run)).toBe('rules');
      await new Promise((resolve) => setTimeout(resolve, 400));
      rmSync(lockFile.folder, { recursive: true });
    }
  });

  test('what the tool itself fails with is the tool’s, and is tried once', async () => {
    let runs = 0;
    const counted: RunCommand = (...command) => {
      runs++;
      return runCommand(...command);
    };
    const { file, args } = lock.command('sh', ['-c', 'exit 4']);
    await expect(lock.orWithout(counted)(file, args)).rejects.toMatchObject({ exitCode: 4 });
    expect(runs).toBe(1);
  });
});
