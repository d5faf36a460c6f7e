/** Tells whose a virtual server is. Another load balancer on this node may have servers too. Those are never touched. */
import type { Family } from '../../../model/address';
import { bigSetName, parseMark, setName } from '../sets/names';
import type { SavedSets } from '../sets/ipset-text';

export interface OurThings {
  /** The addresses of kube-ipvs0. */
  readonly boundAddresses: Iterable<string>;
  readonly sets: SavedSets;
}

/** External and load-balancer IPs that are also a Node's addresses have servers but are not bound. These sets have them. */
const externalSets = ['KUBE-EXTERNAL-IP', 'KUBE-EXTERNAL-IP-LOCAL', 'KUBE-LOAD-BALANCER'] as const;

/**
 * A server is ours or kube-proxy's when it is on an address of kube-ipvs0, on an address and port in a set of external ones, on an
 * address of the node with a port in a set of node ports, or by a mark that KUBE-IPVS-LOCAL gives. KUBE-IPVS-IPS (for the addresses of
 * kube-ipvs0) and KUBE-IPVS-MARKS have their entries before the servers are added and until after they are removed. So they tell of
 * servers whose write was interrupted. KUBE-IPVS-NODE-IPS may have addresses that the node no longer has.
 */
export function isOurServer(
  family: Family,
  { boundAddresses, sets }: OurThings,
  nodeAddresses: Iterable<string>,
): (server: string) => boolean {
  const bound = new Set(boundAddresses);
  const own = new Set(nodeAddresses);
  const marks = new Set<string>();
  const external = new Set<string>();
  const addressSets = [setName(family, 'KUBE-IPVS-IPS'), bigSetName(family, 'KUBE-IPVS-IPS')];
  const portSets = externalSets.flatMap((set) => [setName(family, set), bigSetName(family, set)]);
  for (const [element, options] of sets.elements) {
    const space = element.indexOf(' ');
    const set = element.slice(0, space);
    if (addressSets.includes(set)) bound.add(element.slice(space + 1));
    else if (portSets.includes(set)) external.add(element.slice(space + 1));
    else if (set === setName(family, 'KUBE-IPVS-NODE-IPS')) own.add(element.slice(space + 1));
    else if (set === setName(family, 'KUBE-IPVS-MARKS')) marks.add(`FWM ${element.slice(space + 1)}`);
    else if (set === setName(family, 'KUBE-IPVS-LOCAL')) {
      const mark = parseMark(options);
      if (mark !== undefined) marks.add(`FWM ${mark}`);
    }
  }
  const isNodePort = (protocol: string, address: string, port: number): boolean => {
    if (!own.has(address)) return false;
    if (protocol === 'SCTP') {
      const host = `${address},sctp:${port}`;
      return sets.elements.has(`${setName(family, 'KUBE-NODE-PORT-SCTP-HASH')} ${host}`);
    }
    const set = setName(family, protocol === 'UDP' ? 'KUBE-NODE-PORT-UDP' : 'KUBE-NODE-PORT-TCP');
    return sets.elements.has(`${set} ${port}`);
  };
  return (server) => {
    const space = server.indexOf(' ');
    const protocol = server.slice(0, space);
    if (protocol === 'FWM') return marks.has(server);
    const { address, port } = endOf(server);
    return (
      bound.has(address) ||
      external.has(`${address},${protocol.toLowerCase()}:${port}`) ||
      isNodePort(protocol, address, port)
    );
  };
}

/** The address and port of a server that is not by mark. */
export function endOf(server: string): { readonly address: string; readonly port: number } {
  const colon = server.lastIndexOf(':');
  const host = server.slice(server.indexOf(' ') + 1, colon);
  return { address: host.startsWith('[') ? host.slice(1, -1) : host, port: Number(server.slice(colon + 1)) };
}
