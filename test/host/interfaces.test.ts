import { networkInterfaces } from 'node:os';
import { runCommand } from '../../src/host/command';
import { isIPv6Supported, parseIpAddresses, readInterfaceAddresses } from '../../src/host/interfaces';
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

test('IPv6 is supported where its loopback answers', async () => {
  const hasLoopback = (networkInterfaces()['lo'] ?? []).some(({ address }) => address === '::1');
  if (hasLoopback) await expect(isIPv6Supported()).resolves.toBe(true);
  else expect(typeof (await isIPv6Supported())).toBe('boolean');
});
