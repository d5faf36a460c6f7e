import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';

let folder: string;
let guest: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vipwire-used-up-'));
  chmodSync(folder, 0o755);
  guest = join(folder, 'guest.cjs');
  const options = ['--bundle', '--platform=node', '--format=cjs', '--log-level=warning', `--outfile=${guest}`];
  execFileSync('node_modules/.bin/esbuild', ['test/host/used-up.guest.ts', ...options]);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** How tools end while there is none of it left, and after that. */
async function endsOf(
  what: 'files' | 'processes',
  as: readonly string[],
  limits: readonly string[],
): Promise<readonly string[]> {
  const child = spawn('env', [...as, process.execPath, guest, what], {
    cwd: '/',
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'] },
  });
  try {
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      said.push(line);
      const limit = limits[said.length - 1];
      if (limit === undefined) continue;
      execFileSync('env', [...as, 'prlimit', '--pid', `${child.pid}`, limit]);
      child.stdin.write('\n');
    }
    return said;
  } finally {
    child.kill('SIGKILL');
  }
}

const unlimited = ['printed ', 'printed rules', 'printed rules'];

test('where no file is left, a tool fails as any other does, and starts when there is one again', async () => {
  const said = await endsOf('files', [], ['--nofile=100:', '--nofile=100:']);
  expect(said.slice(0, 2)).toEqual(['ready', 'used up']);
  const [first, second, third, netlink, ...later] = JSON.parse(said[2] ?? '') as string[];
  for (const each of [first, second, third]) expect(each).toMatch(/^cat: .*it cannot be started: .*EMFILE/);
  // Not that the addon has no file for this machine, which is said once there are files again.
  expect(netlink).toBe('NetlinkError');
  expect(later).toEqual([...unlimited, 'NetlinkUnavailableError']);
}, 60_000);

const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
(process.getuid?.() === 0 ? test : test.skip)(
  'where no process is left either',
  async () => {
    const said = await endsOf('processes', asNobody, ['--nproc=1:', '--nproc=20000:']);
    expect(said.slice(0, 2)).toEqual(['ready', 'used up']);
    const [first, second, third, ...later] = JSON.parse(said[2] ?? '') as string[];
    for (const each of [first, second, third]) expect(each).toMatch(/^cat: .*it cannot be started: .*EAGAIN/);
    expect(later).toEqual(unlimited);
  },
  60_000,
);
