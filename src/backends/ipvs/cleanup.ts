/** Removes the virtual servers of vipwire and of kube-proxy's IPVS mode, and no others. */
import type { Family } from '../../model/address';
import type { IpvsKernel } from './backend';
import { isOurServer } from './servers/our-servers';

/**
 * Deletes the servers of one family and returns how many there were. The sets and kube-ipvs0 tell whose a server is, so they must still
 * be there. Throws as the kernel does.
 */
export async function deleteOurServers(
  family: Family,
  kernel: Pick<IpvsKernel, 'readServers' | 'writeServers' | 'readSets' | 'readAddresses'>,
  nodeAddresses: Iterable<string>,
): Promise<number> {
  const sets = await kernel.readSets();
  const boundAddresses = await kernel.readAddresses();
  const isOurs = isOurServer(family, { boundAddresses, sets }, nodeAddresses);
  const { servers } = await kernel.readServers();
  const ours = [...servers.keys()].filter(isOurs);
  await kernel.writeServers(ours.map((server) => ({ op: 'delete-server', server })));
  return ours.length;
}
