import { type NodeAccess, prepareNode } from '../../../src/backends/ipvs/driver';
import { SysctlError, type SysctlProblem } from '../../../src/host/sysctl';
import { createLogger } from '../../../src/telemetry/logger';
import { parseLogLine } from '../../support/log-lines';

/** A node in memory, with ip_vs. */
class FakeNode implements NodeAccess {
  readonly sysctls = new Map([
    ['kernel/osrelease', '6.1.176'],
    ['net/ipv4/ip_forward', '0'],
    ['net/ipv4/conf/all/arp_ignore', '0'],
    ['net/ipv4/conf/all/arp_announce', '0'],
  ]);
  readonly refused = new Map<string, SysctlProblem>();
  readonly written: string[] = [];

  constructor() {
    for (const name of ['conntrack', 'conn_reuse_mode', 'expire_nodest_conn', 'expire_quiescent_template'])
      this.sysctls.set(`net/ipv4/vs/${name}`, name === 'conn_reuse_mode' ? '1' : '0');
  }

  readonly readSysctl = async (path: string): Promise<string> => {
    await Promise.resolve();
    const value = this.sysctls.get(path);
    if (value === undefined) throw new SysctlError(path, 'missing', {});
    return value;
  };
  readonly writeSysctl = async (path: string, value: string): Promise<boolean> => {
    if ((await this.readSysctl(path)) === value) return false;
    const problem = this.refused.get(path);
    if (problem !== undefined) throw new SysctlError(path, problem, {});
    this.sysctls.set(path, value);
    this.written.push(`${path}=${value}`);
    return true;
  };
}

interface Outcome {
  readonly error: string | undefined;
  readonly warnings: readonly string[];
}

async function prepare(node: FakeNode, strictArp = false): Promise<Outcome> {
  const lines: string[] = [];
  const log = createLogger({ verbosity: 0, format: 'json' }, (line) => lines.push(line));
  const error = await prepareNode(node, { strictArp }, log).then(
    () => undefined,
    (error: unknown) => `${(error as Error).name}: ${(error as Error).message}`,
  );
  const told = lines.map(parseLogLine);
  return { error, warnings: told.flatMap(({ level, msg }) => (level === 'warn' ? msg : [])) };
}

const basics = [
  'net/ipv4/vs/conntrack=1',
  'net/ipv4/ip_forward=1',
  'net/ipv4/vs/expire_nodest_conn=1',
  'net/ipv4/vs/expire_quiescent_template=1',
];

test('what differs is written once', async () => {
  const node = new FakeNode();
  expect(await prepare(node)).toEqual({ error: undefined, warnings: [] });
  expect(node.written).toEqual(basics);
  expect(await prepare(node)).toEqual({ error: undefined, warnings: [] });
  expect(node.written).toEqual(basics);
});

test('strictARP sets two more sysctls, which stay as they are without it', async () => {
  const node = new FakeNode();
  await prepare(node, true);
  expect(node.written).toEqual([...basics, 'net/ipv4/conf/all/arp_ignore=1', 'net/ipv4/conf/all/arp_announce=2']);
});

test('an administrator may be stricter than strictARP', async () => {
  const node = new FakeNode();
  node.sysctls.set('net/ipv4/conf/all/arp_ignore', '2');
  await prepare(node, true);
  expect(node.written).toEqual([...basics, 'net/ipv4/conf/all/arp_announce=2']);
});

test.each([
  ['4.0.9', 0, 1],
  ['4.1.0', 1, 0],
  ['4.18.0-553.el8.x86_64', 1, 0],
  ['5.8.18', 1, 0],
  ['5.9.0', 0, 0],
  ['5.10.0-28-amd64', 0, 0],
  ['6.18.44', 0, 0],
])('conn_reuse_mode, kernel %s: written %d times, warned of %d times', async (release, writes, warnings) => {
  const node = new FakeNode();
  node.sysctls.set('kernel/osrelease', release);
  expect((await prepare(node)).warnings).toHaveLength(warnings);
  expect(node.written.filter((line) => line === 'net/ipv4/vs/conn_reuse_mode=0')).toHaveLength(writes);
});

describe('a sysctl that cannot be written', () => {
  test.each(['net/ipv4/vs/conntrack', 'net/ipv4/ip_forward'])('%s ends the start', async (path) => {
    const node = new FakeNode();
    node.refused.set(path, 'read-only');
    const name = path.replaceAll('/', '.');
    expect((await prepare(node)).error).toMatch(
      new RegExp(
        `^UserError: IPVS mode: ${name} cannot be set \\(read-only\\): .*run .sysctl -w ${name}=1. on the node`,
      ),
    );
  });

  test.each([
    'net/ipv4/vs/expire_nodest_conn',
    'net/ipv4/vs/expire_quiescent_template',
    'net/ipv4/conf/all/arp_ignore',
  ])('%s is warned of, and the others are written', async (path) => {
    const node = new FakeNode();
    node.refused.set(path, 'read-only');
    const { error, warnings } = await prepare(node, true);
    expect(error).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining(path.replaceAll('/', '.'))]);
    expect(node.written).toHaveLength(5);
  });

  test('a sysctl that is already right may be read-only', async () => {
    const node = new FakeNode();
    node.sysctls.set('net/ipv4/ip_forward', '1');
    node.refused.set('net/ipv4/ip_forward', 'read-only');
    expect(await prepare(node)).toEqual({ error: undefined, warnings: [] });
  });

  test('a kernel that is built without connection tracking for IPVS ends the start', async () => {
    const node = new FakeNode();
    node.sysctls.delete('net/ipv4/vs/conntrack');
    expect((await prepare(node)).error).toMatch(
      /conntrack cannot be set \(missing\): .*this kernel is built without it$/,
    );
  });
});
