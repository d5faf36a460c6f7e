import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError, defaultLimitMs, PreparedCommands, runCommand } from '../../src/host/command';
import { until } from '../support/until';

/** Ended, and perhaps not yet taken note of by its parent. */
async function hasGone(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => 'gone');
  return stat === 'gone' || stat.includes(') Z ');
}

describe('a command', () => {
  test('that fails tells its name, exit code and first line of stderr', async () => {
    const failed = runCommand('sh', ['-c', 'echo >&2; echo first >&2; echo second >&2; exit 3']);
    await expect(failed).rejects.toThrow(CommandError);
    await expect(failed).rejects.toThrow(/^sh: exit 3 after \d+ ms: first$/);
  });

  test('that is not there says so', async () => {
    await expect(runCommand('vipwire-no-such-tool', [])).rejects.toMatchObject({ notFound: true });
  });

  test('that takes too long is ended', async () => {
    const ended = runCommand('sleep', ['60'], { timeoutMs: 50 });
    await expect(ended).rejects.toThrow('sleep: did not end within 0.05 s');
    await expect(ended).rejects.toMatchObject({ limitMs: 50, exitCode: undefined, notFound: false });
  });

  test('that nobody set a limit for is ended too', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance'] });
    try {
      const failed = expect(runCommand('sleep', ['60'])).rejects.toThrow(
        `did not end within ${defaultLimitMs / 1000} s`,
      );
      jest.advanceTimersByTime(defaultLimitMs);
      await failed;
    } finally {
      jest.useRealTimers();
    }
  });

  test('that ignores SIGTERM is ended with every process of its own', async () => {
    const printed: string[] = [];
    const script = "trap '' TERM; sh -c 'trap \"\" TERM; sleep 61 & echo $!; wait' & echo $!; wait";
    const ended = runCommand('sh', ['-c', script], { timeoutMs: 300, onLine: (line) => printed.push(line) });
    await expect(ended).rejects.toThrow(/^sh: did not end within 0.3 s/);
    expect(printed).toHaveLength(2);
    for (const pid of printed) await until(() => hasGone(Number(pid)));
  }, 20_000);

  test('is over when it has ended, though another process still holds its output', async () => {
    const startedMs = performance.now();
    const { stdout } = await runCommand('sh', ['-c', 'sleep 62 & echo $!; exit 0']);
    expect(performance.now() - startedMs).toBeLessThan(defaultLimitMs);
    process.kill(Number(stdout), 'SIGKILL');
  });

  test('gets PATH and LC_ALL alone', async () => {
    process.env['XTABLES_LOCKFILE'] = '/tmp/other.lock';
    try {
      const { stdout } = await runCommand('env', []);
      expect(stdout).toBe(`PATH=${process.env['PATH'] ?? ''}\nLC_ALL=C\n`);
    } finally {
      delete process.env['XTABLES_LOCKFILE'];
    }
  });

  test('prints long lines and letters of several bytes in pieces, and loses nothing', async () => {
    const line = 'ü€'.repeat(100_000);
    const lines: string[] = [];
    await runCommand('cat', [], { input: `${line}\n\n${line}`, onLine: (each) => lines.push(each) });
    expect(lines).toEqual([line, '', line]);
    expect((await runCommand('cat', [], { input: `${line}\n` })).stdout).toBe(`${line}\n`);
  });

  test('fails with what the reader of its lines throws', async () => {
    const onLine = (): void => {
      throw new TypeError('no such line');
    };
    await expect(runCommand('sh', ['-c', 'while echo; do :; done'], { onLine })).rejects.toThrow('no such line');
  });

  test('that does not read its input fails by its own words', async () => {
    const input = 'x'.repeat(1 << 20);
    await expect(runCommand('sh', ['-c', 'echo why >&2; exit 4'], { input })).rejects.toThrow(/exit 4 .*: why$/);
  });

  test('hands its lines over as they come, with the C locale', async () => {
    const lines: string[] = [];
    const { stdout } = await runCommand('sh', ['-c', 'echo $LC_ALL; echo b'], { onLine: (line) => lines.push(line) });
    expect({ lines, stdout }).toEqual({ lines: ['C', 'b'], stdout: '' });
  });
});

describe('prepared commands', () => {
  let folder: string;
  let commands: PreparedCommands;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vipwire-command-'));
    await writeFile(join(folder, 'log'), '');
    commands = new PreparedCommands();
  });
  afterEach(async () => {
    commands.close();
    await rm(folder, { recursive: true });
  });

  const log = async (): Promise<string[]> => (await readFile(join(folder, 'log'), 'utf8')).split('\n').slice(0, -1);
  /** Takes its input, then works for as long as that says; the lock is another's while it runs. */
  const tool = 'echo start >>log; flock lock sh -c \'read ms; sleep $ms; echo "end $ms" >>log\'';
  const run = (seconds: number): Promise<unknown> =>
    commands.run('sh', ['-c', `cd ${folder}; ${tool}`], { input: `${seconds}\n` });
  const untilStarts = (count: number): Promise<number> =>
    until(async () => (await log()).filter((line) => line === 'start').length >= count, { what: `${count} starts` });

  test('the next one waits for its input before it is asked for', async () => {
    await run(0);
    await untilStarts(2);
    expect(await log()).toEqual(['start', 'end 0', 'start']);
    await run(0.01);
    expect(await log()).toContain('end 0.01');
    expect((await log()).filter((line) => line === 'start').length).toBeLessThan(4);
  });

  test('lines are handed over, and the time is limited, by the one that waited too', async () => {
    const cat = async (): Promise<string[]> => {
      const lines: string[] = [];
      await commands.run('sh', ['-c', `cd ${folder}; echo start >>log; cat`], {
        input: 'a\nb\n',
        onLine: (line) => lines.push(line),
      });
      return lines;
    };
    expect(await cat()).toEqual(['a', 'b']);
    await untilStarts(2);
    expect(await cat()).toEqual(['a', 'b']);
    const slow = (): Promise<unknown> =>
      commands.run('sh', ['-c', `cd ${folder}; echo start >>log; read x; sleep $x`], { input: '60\n', timeoutMs: 100 });
    await untilStarts(3);
    await expect(slow()).rejects.toThrow('did not end within 0.1 s');
    await untilStarts(5);
    await expect(slow()).rejects.toThrow('did not end within 0.1 s');
  });

  test('none is started beside one that runs: it could hold the lock for which that one waits', async () => {
    await run(0);
    await sleep(10);
    await run(0.1);
    expect(await log()).toEqual(['start', 'end 0', 'start', 'end 0.1']);
    await untilStarts(3);
  });

  test('what still waits ends with them', async () => {
    await run(0);
    await untilStarts(2);
    commands.close();
    await until(async () => (await log()).at(-1) === 'end ');
    await expect(run(0)).resolves.toBeDefined();
    await sleep(60);
    expect((await log()).filter((line) => line === 'start')).toHaveLength(3);
  });
});
