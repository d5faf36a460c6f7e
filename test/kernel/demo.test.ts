import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { service, slice } from '../conformance/objects';
import { collectOutput } from '../support/collect-output';
import { describeAsRoot } from '../support/network-namespace';

const command = ['scripts/run-ts.mjs', 'scripts/demo.ts'];
jest.setTimeout(120_000);

/** Namespaces, files and processes of labs that this process made. */
function leftBy({ pid = 0 }: ChildProcess): string[] {
  const names = [tmpdir(), '/run/netns'].flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : []));
  const processes = spawnSync('ps', ['-eo', 'args']).stdout.toString().split('\n');
  const marks = [`vwlab${pid}-`, `vipwire-run-ts-${pid}-`];
  return [...names, ...processes].filter((text) => marks.some((mark) => text.includes(mark)));
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly left: readonly string[];
}

async function runDemo(
  args: readonly string[],
  interrupt?: { signal: NodeJS.Signals; afterMs: number },
): Promise<Ended> {
  const demo = spawn(process.execPath, [...command, ...args]);
  const ended = collectOutput(demo);
  if (interrupt !== undefined) {
    await sleep(interrupt.afterMs);
    demo.kill(interrupt.signal);
  }
  return { ...(await ended), left: leftBy(demo) };
}

describeAsRoot('the demo', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vipwire-demo-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const manifest = async (name: string, items: readonly object[]): Promise<string> => {
    const path = join(folder, `${name}.json`);
    await writeFile(path, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    return path;
  };

  test('every VIP of the examples answers as planned, and nothing is left behind', async () => {
    const { code, stdout, stderr, left } = await runDemo([]);
    expect({ code, stderr: code === 0 ? '' : stderr, left }).toEqual({ code: 0, stderr: '', left: [] });
    expect(stdout).toContain('all as planned');
    expect(stdout).toMatch(/^kube-system\/kube-dns\n {2}ClusterIP +10\.96\.0\.10:53\/UDP +pod c +ok /m);
    expect(stdout).toMatch(/not proxied: headless/);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
  });

  test('what differs from the plan is marked, and the exit code says so', async () => {
    // No pod listens on port 81.
    const path = await manifest('wrong', [service(), slice(['a', 'b'], { ports: [{ port: 81 }] })]);
    const { code, stdout, left } = await runDemo([path]);
    expect({ code, left }).toEqual({ code: 1, left: [] });
    expect(stdout).toMatch(/10\.96\.0\.10:80\/TCP +pod c +refused +NOT AS PLANNED: ok a:81 b:81$/m);
    expect(stdout).toContain('3 of 3 not as planned');
  });

  test('a Service without endpoints refuses, and that is as planned', async () => {
    const { code, stdout } = await runDemo([await manifest('empty', [service()])]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/outside +refused +\(no endpoints\)$/m);
  });

  test.each([
    ['SIGINT', 100],
    ['SIGTERM', 700],
    ['SIGINT', 1200],
    ['SIGHUP', 2500],
  ] as const)('%s after %i ms leaves nothing', async (signal, afterMs) => {
    const { code, left } = await runDemo([], { signal, afterMs });
    expect(left).toEqual([]);
    expect(code).not.toBe(0);
  });

  test('without root it renders instead, and says why', () => {
    const nobody = 65534;
    const demo = spawnSync(process.execPath, command, { uid: nobody, gid: nobody });
    expect(demo.stderr.toString()).toMatch(/^Not root: /);
    expect(demo.stdout.toString()).toContain('*nat');
    expect(demo.status).toBe(0);
  });
});
