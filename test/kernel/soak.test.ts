/** Thirty seconds of scripts/soak.ts, at a rate that a busy machine can open. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { collectOutput } from '../support/collect-output';
import { describeAsRoot } from '../support/network-namespace';

const soak = ['scripts/run-ts.mjs', 'scripts/soak.ts'];

async function run(...args: readonly string[]): Promise<{ code: number | null; pid: number; said: string }> {
  const child = spawn(process.execPath, [...soak, ...args]);
  const { code, stdout, stderr } = await collectOutput(child);
  return { code, pid: child.pid ?? 0, said: stdout + stderr };
}

describeAsRoot('soak', () => {
  test('the rules lose no connection, through any kind of frontend, over two uplinks', async () => {
    const { code, pid, said } = await run('--seconds', '30', '--rate', '60');
    expect(said).toMatch(/^vipwire: \d{4} connections, \d+ lost .*, 0 of them by the proxy/m);
    expect(said).toMatch(/^kube-proxy: \d{4} connections/m);
    for (const uplink of ['eth0', 'eth1'])
      expect(said).toMatch(new RegExp(`^node: packets in by ${uplink} +\\d{3,}$`, 'm'));
    expect(code).toBe(0);
    const left = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
    expect(left.filter((name) => name.startsWith(`vwsoak${pid}-`))).toEqual([]);
  }, 300_000);

  test.each([
    ['--seconds', 'x'],
    ['--rate', '0'],
  ])('%s %s is refused in one line', async (...args) => {
    const { code, said } = await run(...args);
    expect(code).toBe(2);
    expect(said).toMatch(/^soak: --(seconds|rate): want .*\n$/);
  });
});
