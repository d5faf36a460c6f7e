import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError, PreparedCommands, runCommand } from '../../src/host/command';

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
    await expect(runCommand('sleep', ['10'], { timeoutMs: 50 })).rejects.toThrow(/exit by signal/);
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
  const untilStarts = async (count: number): Promise<void> => {
    while ((await log()).filter((line) => line === 'start').length < count) await sleep(2);
  };

  test('the next one waits for its input before it is asked for', async () => {
    await run(0);
    await untilStarts(2);
    expect(await log()).toEqual(['start', 'end 0', 'start']);
    await run(0.01);
    expect(await log()).toContain('end 0.01');
    expect((await log()).filter((line) => line === 'start').length).toBeLessThan(4);
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
    while ((await log()).at(-1) !== 'end ') await sleep(5);
    await expect(run(0)).resolves.toBeDefined();
    await sleep(60);
    expect((await log()).filter((line) => line === 'start')).toHaveLength(3);
  });
});
