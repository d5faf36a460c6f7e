/** scripts/guest runs a command on a kernel with IPVS, and leaves nothing behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { collectOutput } from '../support/collect-output';

jest.setTimeout(60_000);

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly left: readonly string[];
}

/** Processes and folders of a guest. Their names contain the process id of the script. */
function leftBy({ pid = 0 }: ChildProcess): string[] {
  const mark = `vipwire-guest-${pid}-`;
  const commandLine = (process: string): string => {
    try {
      return readFileSync(`/proc/${process}/cmdline`, 'utf8');
    } catch {
      return '';
    }
  };
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && commandLine(name).includes(mark));
  return [...processes, ...readdirSync('/var/tmp').filter((name) => name.includes(mark))];
}

async function runGuest(
  args: readonly string[],
  during: (guest: ChildProcess) => Promise<unknown> = () => Promise.resolve(),
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const guest = spawn('scripts/guest', args, { env: { ...process.env, ...env } });
  const ended = collectOutput(guest);
  await during(guest);
  return { ...(await ended), left: leftBy(guest) };
}

const isHere = existsSync('/usr/bin/linux.uml');
if (!isHere) console.warn('SKIPPED: scripts/guest needs linux.uml (user-mode-linux)');

describe('scripts/guest', () => {
  (isHere ? test : test.skip)('a command has IPVS, output, an exit code, its environment and folder', async () => {
    const script =
      'ipvsadm -A -t 10.96.0.10:80 -s sh && cat /proc/net/ip_vs && pwd && echo "$WORD" && echo wrong >&2; exit 7';
    const ended = await runGuest(['sh', '-c', script], undefined, { WORD: "it's $HOME" });
    expect(ended).toEqual({ code: 7, stdout: expect.any(String) as string, stderr: 'wrong\n', left: [] });
    expect(ended.stdout).toMatch(/^TCP +0A60000A:0050 sh +$/m);
    expect(ended.stdout.endsWith(`${process.cwd()}\nit's $HOME\n`)).toBe(true);
  });

  (isHere ? test : test.skip).each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s leaves nothing', async (signal) => {
    const ended = await runGuest(['sleep', '60'], async (guest) => {
      await sleep(signal === 'SIGTERM' ? 300 : 2500);
      expect(leftBy(guest)).not.toEqual([]);
      guest.kill(signal);
    });
    expect(ended).toMatchObject({ stdout: '', left: [] });
    expect(ended.code).toBeGreaterThan(128);
  });

  (isHere ? test : test.skip)('what takes too long is ended, and said to be', async () => {
    const ended = await runGuest(['--seconds', '25', 'sh', '-c', 'echo begun; sleep 60']);
    expect(ended).toEqual({ code: 124, stdout: 'begun\n', stderr: 'guest: not done after 25 s\n', left: [] });
  });

  test('without the kernel, and without a command, it says so', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vipwire-path-'));
    symlinkSync('/bin/bash', join(folder, 'bash'));
    const without = await runGuest(['true'], undefined, { PATH: folder });
    rmSync(folder, { recursive: true });
    expect(without.stderr).toContain('no linux.uml here');
    expect(without.code).toBe(125);
    expect(await runGuest(['--memory'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^usage: /) as string,
    });
  });
});
