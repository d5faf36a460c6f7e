import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bundle, ended } from './bundle';
import { until } from '../support/until';

let bundle: Bundle;
let manifests: string;
beforeAll(() => {
  bundle = Bundle.make();
  manifests = join(bundle.folder, 'cluster.json');
  writeFileSync(manifests, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [] }));
});
afterAll(() => bundle.remove());

const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const end = ended(child);
    child.kill('SIGKILL');
    await end;
  }
});

interface Running {
  readonly child: ChildProcess;
  readonly said: () => string;
}

/** Runs in a network namespace of its own where one can be made, so that nobody else has the debugger's port. */
const isRoot = process.getuid?.() === 0;
const apart = isRoot ? ['unshare', '--net', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh'] : [];

function start(args: readonly string[]): Running {
  const program = [process.execPath, join(bundle.folder, 'dist', 'vipwire.cjs')];
  const child = spawn('env', [...apart, ...program, ...args], { cwd: bundle.folder });
  children.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { child, said: () => text };
}

const commands: Readonly<Record<string, () => string[]>> = {
  'run --dry-run': () => ['run', '--dry-run', '--watch', '--manifests', manifests, '--hostname-override=node'],
  'diff --watch': () => ['diff', '--watch', '-f', manifests, '--node=node'],
  'explain, which reads its input': () => ['explain', '-f', '-', '10.0.0.1', '10.96.0.10:80'],
};

/** Whether Node.js, or later this program, has a handler. Before that, the signal ends any process. */
function isCaught({ pid }: ChildProcess, signal: bigint): boolean {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return (BigInt(`0x${/^SigCgt:\s*(\S+)/m.exec(status)?.[1] ?? '0'}`) & (1n << (signal - 1n))) !== 0n;
}
const [sigUsr1, sigUsr2] = [10n, 12n];
/** The time for a program to start on a busy machine. */
const limitMs = 20_000;

const isAlive = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null;

/** According to the sockets of its network namespace. */
function isDebuggerOpen({ pid }: ChildProcess): boolean {
  return /^ *\d+: 0100007F:240D \S+ 0A /m.test(readFileSync(`/proc/${pid}/net/tcp`, 'utf8'));
}

(isRoot ? describe : describe.skip).each(Object.keys(commands))('%s', (name) => {
  test('opens no debugger at SIGUSR1, whenever it comes', async () => {
    const { child } = start(commands[name]?.() ?? []);
    await until(() => isCaught(child, sigUsr1), { limitMs });
    // From the first moment until long after the start. SIGUSR2 is caught once the program's first line has run.
    let sent = 0;
    for (let sinceStart = 0; sinceStart < 100; ) {
      child.kill('SIGUSR1');
      sent++;
      if (isCaught(child, sigUsr2)) sinceStart++;
      await sleep(sent % 7);
    }
    await sleep(1200);
    expect({ open: isDebuggerOpen(child), alive: isAlive(child) }).toEqual({ open: false, alive: true });
    // It does not do so later either.
    for (let n = 0; n < 20; n++) {
      child.kill('SIGUSR1');
      await sleep(5);
      expect(isDebuggerOpen(child)).toBe(false);
    }
    child.kill('SIGUSR2');
    await sleep(50);
    expect(isAlive(child)).toBe(true);
  }, 60_000);
});

(isRoot ? test : test.skip)(
  'a debugger that was asked for is open',
  async () => {
    const program = join(bundle.folder, 'dist', 'vipwire.cjs');
    const args = [...apart, process.execPath, '--inspect', program, ...(commands['run --dry-run']?.() ?? [])];
    const child = spawn('env', args, { cwd: bundle.folder, stdio: 'ignore' });
    children.push(child);
    await until(() => isCaught(child, sigUsr2), { limitMs });
    await sleep(1200);
    expect(isDebuggerOpen(child)).toBe(true);
  },
  60_000,
);

test('SIGHUP does not end the daemon, and where there is nothing to read again it says so', async () => {
  const { child, said } = start(commands['run --dry-run']?.() ?? []);
  await until(() => said().includes('vipwire starts'), { limitMs, details: said });
  child.kill('SIGHUP');
  const unread = 'no configuration file (--config) was given: there is nothing to read again';
  await until(() => said().includes(unread), { limitMs, details: said });
  await until(() => said().includes('-restore --noflush'), { limitMs, details: said });
  const end = ended(child);
  child.kill('SIGTERM');
  expect((await end).code).toBe(0);
}, 60_000);

test('a reader that goes away is no error, and a full disk is one', async () => {
  const lots = ['config', 'write', '--help'];
  const piped = spawn('sh', ['-c', '"$@" | head -c 1 >/dev/null', 'sh', process.execPath, ...programOf(lots)]);
  expect((await ended(piped)).code).toBe(0);
  const full = spawn('sh', ['-c', '"$@" >/dev/full', 'sh', process.execPath, ...programOf(lots)]);
  const { code, stderr } = await ended(full);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/^vipwire: standard output: ENOSPC.*\n$/) as string,
  });
}, 60_000);

function programOf(args: readonly string[]): string[] {
  return [join(bundle.folder, 'dist', 'vipwire.cjs'), ...args];
}
