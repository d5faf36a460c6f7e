/** Leaves IPVS mode while connections still go through it. The rules of the new mode must be in force. */
import type { Family } from '../../model/address';
import type { FlowFilter } from '../../model/flow';
import type { IpvsKernel } from './backend';
import { parseMark, setName } from './sets/names';
import type { SavedSets } from './sets/ipset-text';
import { endOf, isOurServer } from './servers/our-servers';
import type { ServerWrite } from './servers/virtual-server';

export type RetiringKernel = Pick<
  IpvsKernel,
  'readServers' | 'writeServers' | 'readDestinations' | 'readSets' | 'readAddresses' | 'unbind'
> & { deleteUdpFlows(filter: FlowFilter): Promise<number> };

/**
 * Servers of vipwire and kube-proxy that have connections keep them and take no new ones. All others of these servers are removed, and
 * so are addresses that are no longer needed. The sets stay, because they tell whose a server is. Returns how many connections are
 * left. Idempotent. Throws as the kernel does.
 */
export async function retireServers(
  family: Family,
  kernel: RetiringKernel,
  nodeAddresses: Iterable<string>,
): Promise<number> {
  const sets = await kernel.readSets();
  const boundAddresses = await kernel.readAddresses();
  const isOurs = isOurServer(family, { boundAddresses, sets }, nodeAddresses);
  const { servers } = await kernel.readServers();
  const ours = [...servers].filter(([server]) => isOurs(server));
  await forgetUdp(
    kernel,
    ours.map(([server]) => server),
  );
  const writes: ServerWrite[] = [];
  const kept: string[] = [];
  let left = 0;
  for (const [server, text] of ours) {
    // Nothing tells when a UDP client is done. Its flows were forgotten just now, so they go another way.
    const destinations = /^(TCP|FWM) /.test(server) ? await kernel.readDestinations(server) : [];
    const connections = destinations.reduce((sum, destination) => sum + destination.connections, 0);
    if (connections === 0) {
      writes.push({ op: 'delete-server', server });
      continue;
    }
    left += connections;
    kept.push(server);
    for (const { destination } of destinations)
      if (!text.includes(`\n${destination} 0`)) writes.push({ op: 'edit-destination', server, destination, weight: 0 });
  }
  await kernel.writeServers(writes);
  const needed = addressesOf(kept, family, sets);
  await kernel.unbind(boundAddresses.filter((address) => !needed.has(address)));
  return left;
}

/** A flow that the connection tracker knows is not translated anew. Without its entry the next packet begins a new flow. */
async function forgetUdp(kernel: RetiringKernel, servers: readonly string[]): Promise<void> {
  const ends = servers.filter((server) => server.startsWith('UDP ')).map(endOf);
  if (ends.length === 0) return;
  const keys = new Set(ends.map(({ address, port }) => `${address} ${port}`));
  await kernel.deleteUdpFlows({
    ports: new Set(ends.map(({ port }) => port)),
    isStale: ({ dst, dstPort }) => keys.has(`${dst} ${dstPort}`),
  });
}

/** The addresses of these servers. For a server by mark they are the addresses with this mark in KUBE-IPVS-LOCAL. */
function addressesOf(servers: readonly string[], family: Family, sets: SavedSets): Set<string> {
  const addresses = new Set(
    servers.filter((server) => !server.startsWith('FWM ')).map((server) => endOf(server).address),
  );
  const marks = new Set(servers.filter((server) => server.startsWith('FWM ')));
  const local = `${setName(family, 'KUBE-IPVS-LOCAL')} `;
  for (const [element, options] of sets.elements)
    if (element.startsWith(local) && marks.has(`FWM ${parseMark(options) ?? ''}`))
      addresses.add(element.slice(local.length, element.lastIndexOf(',')));
  return addresses;
}
