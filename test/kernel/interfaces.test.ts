import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

const guest = join(__dirname, 'interfaces.guest.ts');
const sorted = (list: unknown): string[] => (list as object[]).map((entry) => JSON.stringify(entry)).sort();

describeAsRoot('interfaces and sysctls, in a network namespace', () => {
  let told: Record<string, unknown>;
  beforeAll(async () => {
    told = (await runInNetworkNamespace(guest)) as typeof told;
  }, 20_000);

  test('interfaces that are down, point-to-point links, labels and IPv6 are read', () => {
    expect(told['read']).toEqual([
      { name: 'lo', address: '127.0.0.1', family: 'IPv4', prefix: 8 },
      { name: 'up0', address: '10.1.0.1', family: 'IPv4', prefix: 32 },
      { name: 'up0', address: '10.1.1.1', family: 'IPv4', prefix: 24 },
      { name: 'down0', address: '10.96.0.10', family: 'IPv4', prefix: 32 },
      { name: 'lo', address: '::1', family: 'IPv6', prefix: 128 },
      { name: 'up0', address: 'fd09::1', family: 'IPv6', prefix: 64 },
    ]);
  });

  test('bridges are distinguished from other devices', () => {
    expect(told['bridges']).toEqual(['bridge0']);
  });

  test('ip reports the same', () => {
    expect(sorted(told['byIp'])).toEqual(sorted(told['read']));
  });

  test('without the addon the addresses are the same, and the nf_tables generation is unknown', async () => {
    const without = (await runInNetworkNamespace(guest, 'without-addon')) as typeof told;
    expect(without['drift']).toBe('NetlinkUnavailableError');
    expect(told['drift']).toBe('number');
    expect(without['bridges']).toEqual(told['bridges']);
    expect(without['read']).toEqual(without['byIp']);
    expect(sorted(without['read'])).toEqual(sorted(told['read']));
  });

  test('IPv6 that is switched off is not supported', () => {
    expect(told).toMatchObject({ supported: true, supportedAfter: false });
  });

  test('a sysctl is written where it differs, and an invalid value is refused', () => {
    expect(told).toMatchObject({
      writes: [true, false, '1'],
      refused: 'SysctlError: sysctl net/ipv4/ip_default_ttl: refused',
    });
  });
});
