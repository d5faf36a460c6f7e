/**
 * A node with two uplinks to one router. The router has two equal-cost routes to the node's networks, and the node has two to all
 * others. A flow's way in is chosen by its ports and its way out by its addresses, so the two ways often differ.
 *
 *     c1..c4  172.31.N.2 --- router --- 192.168.88.1 == .10 node   pods a b  10.244.1.2-3
 *                                   --- 192.168.89.1 == .10
 *                                   --- 192.168.90.1 -- .11 node2  pod d     10.244.2.2
 */
import { clientAddress, clients, endpointPort, nodeAddresses } from './cluster';

export type SoakPlace = 'router' | 'node' | 'node2' | 'a' | 'b' | 'd' | `c${number}`;

const pods = { a: ['node', '10.244.1.2'], b: ['node', '10.244.1.3'], d: ['node2', '10.244.2.2'] } as const;
type PodName = keyof typeof pods;
const podNames = ['a', 'b', 'd'] as const satisfies readonly PodName[];
const clientPlaces = clients.map((n): SoakPlace => `c${n}`);
/** The servers and the clients, each of which runs a station. */
export const stationPlaces: readonly SoakPlace[] = [...podNames, ...clientPlaces];
export const soakPlaces: readonly SoakPlace[] = ['router', 'node', 'node2', ...stationPlaces];

export function portsOf(place: SoakPlace): readonly number[] {
  return isPod(place) ? [endpointPort] : [];
}

function isPod(place: SoakPlace): place is PodName {
  return place in pods;
}

const nodeNetworks = ['10.96.0.0/16', '203.0.113.0/24', '198.51.100.0/24', '10.244.1.0/24'];

/** Returns the `ip -batch` text that makes the namespaces, and the veth pairs directly in them. */
export function printSoakNamespaces(prefix: string): string {
  const pair = (outer: SoakPlace, device: string, inner: SoakPlace, peer: string): string =>
    `link add ${device} netns ${prefix}-${outer} type veth peer name ${peer} netns ${prefix}-${inner}`;
  return [
    ...soakPlaces.map((place) => `netns add ${prefix}-${place}`),
    pair('router', 'up0', 'node', 'eth0'),
    pair('router', 'up1', 'node', 'eth1'),
    pair('router', 'up2', 'node2', 'eth0'),
    ...clientPlaces.map((place) => pair('router', `to-${place}`, place, 'eth0')),
    ...podNames.map((pod) => pair(pods[pod][0], `veth${pod}`, pod, 'eth0')),
  ].join('\n');
}

/** Returns the script that `sh` runs in a place. */
export function printSoakSetup(place: SoakPlace): string {
  return [
    'sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0',
    // Routes are also chosen by ports, so that the flows of one client use both uplinks.
    'sysctl -q -w net.ipv4.fib_multipath_hash_policy=1',
    'ip -batch - <<"END"',
    'link set lo up',
    ...linesOf(place),
    'END',
  ].join('\n');
}

function linesOf(place: SoakPlace): string[] {
  if (place === 'router') return routerLines();
  if (place === 'node') return nodeLines();
  if (place === 'node2')
    return [
      'link set eth0 up',
      'addr add 192.168.90.11/24 dev eth0',
      ...podRoutes('node2'),
      'route add default via 192.168.90.1',
    ];
  if (isPod(place)) {
    const [, address] = pods[place];
    return [
      'link set eth0 up',
      `addr add ${address}/32 dev eth0`,
      'route add 169.254.1.1 dev eth0',
      'route add default via 169.254.1.1',
    ];
  }
  const n = Number(place.slice(1));
  return ['link set eth0 up', `addr add ${clientAddress(n)}/24 dev eth0`, `route add default via 172.31.${n}.1`];
}

function routerLines(): string[] {
  const both = nodeAddresses.map((address, i) => `nexthop via ${address} dev up${i}`).join(' ');
  return [
    ...[88, 89, 90].flatMap((net, i) => [`link set up${i} up`, `addr add 192.168.${net}.1/24 dev up${i}`]),
    ...clients.flatMap((n) => [`link set to-c${n} up`, `addr add 172.31.${n}.1/24 dev to-c${n}`]),
    ...nodeNetworks.map((network) => `route add ${network} ${both}`),
    'route add 10.244.2.0/24 via 192.168.90.11',
  ];
}

function nodeLines(): string[] {
  return [
    ...nodeAddresses.flatMap((address, i) => [`link set eth${i} up`, `addr add ${address}/24 dev eth${i}`]),
    ...podRoutes('node'),
    'route add default nexthop via 192.168.88.1 dev eth0 nexthop via 192.168.89.1 dev eth1',
  ];
}

function podRoutes(node: 'node' | 'node2'): string[] {
  return podNames
    .filter((pod) => pods[pod][0] === node)
    .flatMap((pod) => [
      `link set veth${pod} up`,
      `addr add 169.254.1.1/32 dev veth${pod}`,
      `route add ${pods[pod][1]}/32 dev veth${pod}`,
    ]);
}
