import { setName } from '../../../src/backends/ipvs/sets/names';
import { createLine } from '../../../src/backends/ipvs/sets/ipset-text';
import { retireServers } from '../../../src/backends/ipvs/retire';
import type { FlowFilter, UdpFlow } from '../../../src/model/flow';
import { FakeIpvs } from '../../support/fake-ipvs';

const mark = 0x1234;
const [vip, quiet, balancer] = ['10.96.0.10', '10.96.0.11', '203.0.113.1'];
const pod = '10.244.1.2:8080';

/** What IPVS mode leaves: a VIP with one server per protocol, one without connections, one by a mark, and one of somebody else. */
async function leftOver(): Promise<
  FakeIpvs & { readonly filters: FlowFilter[]; deleteUdpFlows(filter: FlowFilter): Promise<number> }
> {
  const kernel = new FakeIpvs();
  const local = setName('IPv4', 'KUBE-IPVS-LOCAL');
  await kernel.restoreSets(`${createLine(local)}\nadd ${local} ${balancer},tcp:80 skbmark 0x${mark.toString(16)}\n`);
  await kernel.bind([vip, quiet, balancer]);
  for (const server of [`TCP ${vip}:80`, `UDP ${vip}:53`, `TCP ${quiet}:80`, `FWM ${mark}`, 'TCP 192.168.88.10:9000'])
    await kernel.writeServers([
      { op: 'add-server', server, options: '-s rr' },
      { op: 'add-destination', server, destination: pod, weight: 1 },
      { op: 'add-destination', server, destination: '10.244.1.3:8080', weight: 0 },
    ]);
  kernel.writes.length = 0;
  const filters: FlowFilter[] = [];
  return Object.assign(kernel, {
    filters,
    deleteUdpFlows: (filter: FlowFilter) => Promise.resolve(filters.push(filter)),
  });
}

const retire = (kernel: Awaited<ReturnType<typeof leftOver>>): Promise<number> =>
  retireServers('IPv4', kernel, ['192.168.88.10']);
const flow = (dst: string, dstPort: number): UdpFlow => ({ dst, dstPort, replySrc: '10.244.1.2', replySrcPort: 8080 });

test('servers without connections are removed, and those of others stay', async () => {
  const kernel = await leftOver();
  expect(await retire(kernel)).toBe(0);
  expect([...kernel.servers.keys()]).toEqual(['TCP 192.168.88.10:9000']);
  expect([...kernel.addresses]).toEqual([]);
  // They tell whose a server is, so they stay until the last one is gone.
  expect(kernel.ipset.sets.size).toBe(1);
});

test('a server with connections stays for them, with its address, and takes no new ones', async () => {
  const kernel = await leftOver();
  kernel.connections.set(`TCP ${vip}:80 ${pod}`, 2);
  expect(await retire(kernel)).toBe(2);
  expect([...kernel.servers.keys()].sort()).toEqual([`TCP ${vip}:80`, 'TCP 192.168.88.10:9000'].sort());
  expect([...(kernel.servers.get(`TCP ${vip}:80`)?.weights.values() ?? [])]).toEqual([0, 0]);
  expect([...kernel.addresses]).toEqual([vip]);
  kernel.writes.length = 0;
  expect(await retire(kernel)).toBe(2);
  expect(kernel.writes).toEqual([]);
  kernel.connections.clear();
  expect(await retire(kernel)).toBe(0);
  expect([...kernel.addresses]).toEqual([]);
});

test('a server by mark keeps the address that the mark is for', async () => {
  const kernel = await leftOver();
  kernel.connections.set(`FWM ${mark} ${pod}`, 1);
  expect(await retire(kernel)).toBe(1);
  expect([...kernel.addresses]).toEqual([balancer]);
});

test('the connection tracker forgets UDP before its servers are removed', async () => {
  const kernel = await leftOver();
  kernel.connections.set(`UDP ${vip}:53 ${pod}`, 5);
  let there: boolean | undefined;
  kernel.deleteUdpFlows = (filter) => {
    there = kernel.servers.has(`UDP ${vip}:53`);
    return Promise.resolve(kernel.filters.push(filter));
  };
  expect(await retire(kernel)).toBe(0);
  expect(there).toBe(true);
  const [filter] = kernel.filters;
  expect([...(filter?.ports ?? [])]).toEqual([53]);
  expect(filter?.isStale(flow(vip, 53))).toBe(true);
  expect(filter?.isStale(flow(quiet, 53))).toBe(false);
});
