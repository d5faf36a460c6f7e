import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../src/host/command';
import { askIPv6, parseIpAddresses, readInterfaceAddresses } from '../../src/host/interfaces';
import { parseAddress } from '../../src/model/address';

const byText = (a: object, b: object): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

test('tells what Node tells of interfaces that are up', async () => {
  const told = await readInterfaceAddresses();
  for (const [name, addresses = []] of Object.entries(networkInterfaces()))
    for (const { address, family, cidr } of addresses) {
      const prefix = Number(cidr?.split('/')[1]);
      expect(told).toContainEqual({ name, address: parseAddress(address.split('%')[0] ?? ''), family, prefix });
    }
  expect(told).toContainEqual({ name: 'lo', address: '127.0.0.1', family: 'IPv4', prefix: 8 });
});

test('tells what ip tells', async () => {
  const { stdout } = await runCommand('ip', ['-j', 'address']);
  expect((await readInterfaceAddresses()).sort(byText)).toEqual(parseIpAddresses(stdout).sort(byText));
});

describe('whether the kernel has IPv6', () => {
  let proc: string;
  beforeEach(() => {
    proc = mkdtempSync(join(tmpdir(), 'vipwire-proc-'));
    mkdirSync(join(proc, 'net'));
    mkdirSync(join(proc, 'sys/net/ipv6/conf/all'), { recursive: true });
  });
  afterEach(() => rmSync(proc, { recursive: true, force: true }));
  const write = (path: string, text: string): void => writeFileSync(join(proc, path), text);
  const disabled = 'sys/net/ipv6/conf/all/disable_ipv6';

  test('is told of this machine', async () => {
    const hasLoopback = (networkInterfaces()['lo'] ?? []).some(({ address }) => address === '::1');
    const { kind } = await askIPv6();
    if (hasLoopback) expect(kind).toBe('found');
    else expect(['found', 'absent']).toContain(kind);
  });

  test('it has not, where /proc has no if_inet6', async () => {
    expect(await askIPv6(proc)).toEqual({ kind: 'absent' });
  });

  test('it has not, where it is switched off', async () => {
    write('net/if_inet6', '');
    write(disabled, '1\n');
    expect(await askIPv6(proc)).toEqual({ kind: 'absent' });
  });

  test.each([['0\n'], [undefined]])('it has, where disable_ipv6 is %j', async (text) => {
    write('net/if_inet6', '');
    if (text !== undefined) write(disabled, text);
    expect(await askIPv6(proc)).toEqual({ kind: 'found', value: true });
  });

  test.each(['net/if_inet6', disabled])('it cannot be told, where %s cannot be read', async (path) => {
    write('net/if_inet6', '');
    rmSync(join(proc, path), { force: true });
    // A read of a folder fails for root, too.
    mkdirSync(join(proc, path));
    const answer = await askIPv6(proc);
    expect(answer).toMatchObject({ kind: 'unknown', reason: expect.stringContaining('EISDIR') as unknown });
  });
});

test.each([
  ['nothing', ''],
  ['half of its answer', '[{"ifname":"lo","addr_info":[{"local":"127.0'],
  ['words of another version', '1: lo: <LOOPBACK,UP> mtu 65536'],
  ['no interface, though each namespace has one', '[]'],
])('ip prints %s: that is no list of addresses', (_, stdout) => {
  expect(() => parseIpAddresses(stdout)).toThrow();
});
