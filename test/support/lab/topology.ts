/**
 * A node under test with real pods, a second node and an outside client, each in a network namespace:
 *
 *     ext   192.168.88.100 fd88::100 --+-- node   192.168.88.10 fd88::10   pods a b c  10.244.1.2-4  fd44:1::2-4
 *                                      +-- node2  192.168.88.11 fd88::11   pods d e    10.244.2.2-3  fd44:2::2-3
 *
 * ext and node2 send service, load-balancer and external addresses to node, as a router in front of it would. Everything
 * here is text from which Lab makes the real thing.
 */
import type { Family } from '../../../src/model/address';

export type Pod = 'a' | 'b' | 'c' | 'd' | 'e';
/** Where packets may come from. */
export type Place = Pod | 'node' | 'node2' | 'ext';
type Namespace = Place | 'net';

export const addresses: Readonly<Record<Place, Readonly<Record<Family, string>>>> = {
  node: { IPv4: '192.168.88.10', IPv6: 'fd88::10' },
  node2: { IPv4: '192.168.88.11', IPv6: 'fd88::11' },
  ext: { IPv4: '192.168.88.100', IPv6: 'fd88::100' },
  a: { IPv4: '10.244.1.2', IPv6: 'fd44:1::2' },
  b: { IPv4: '10.244.1.3', IPv6: 'fd44:1::3' },
  c: { IPv4: '10.244.1.4', IPv6: 'fd44:1::4' },
  d: { IPv4: '10.244.2.2', IPv6: 'fd44:2::2' },
  e: { IPv4: '10.244.2.3', IPv6: 'fd44:2::3' },
};

export const podsOf = { node: ['a', 'b', 'c'], node2: ['d', 'e'] } as const;
export const places: readonly Place[] = ['node', 'node2', 'ext', 'a', 'b', 'c', 'd', 'e'];
const namespaces: readonly Namespace[] = ['net', ...places];

/** The TCP and UDP ports on which every place but node answers. node has another one, so that NodePorts stay free. */
export const echoPorts = [53, 80, 443, 5000, 8080, 8443, 9153, 9376] as const;
export const nodeEchoPort = 9999;

/** Every address of this block is pod e too, only for TCP. They are the endpoints of Services that have hundreds of them. */
export const crowd = { network: '10.244.200.0/22', address: (n: number) => `10.244.${200 + (n >> 8)}.${n & 255}` };

const uplinks = ['node', 'node2', 'ext'] as const;
const servicePrefixes = ['10.96.0.0/16', '203.0.113.0/24', '198.51.100.0/24', 'fd96::/108', '2001:db8:1::/64'];
const gateways = {
  node: { IPv4: '10.244.1.1', IPv6: 'fd44:1::1', network4: '10.244.1.0/24', network6: 'fd44:1::/64' },
  node2: { IPv4: '10.244.2.1', IPv6: 'fd44:2::1', network4: '10.244.2.0/24', network6: 'fd44:2::/64' },
} as const;

/** `ip -batch` text for the machine's own namespace: the namespaces, and the veth pairs, with both ends in them. */
export function printNamespaces(prefix: string): string {
  const pair = (outer: string, device: string, inner: string): string =>
    `link add ${device} netns ${prefix}-${outer} type veth peer name eth0 netns ${prefix}-${inner}`;
  return [
    ...namespaces.map((name) => `netns add ${prefix}-${name}`),
    ...uplinks.map((name) => pair('net', `up-${name}`, name)),
    ...Object.entries(podsOf).flatMap(([node, pods]) => pods.map((pod) => pair(node, `veth${pod}`, pod))),
  ].join('\n');
}

function viaOf(prefix: string, place: Place): string {
  return addresses[place][prefix.includes(':') ? 'IPv6' : 'IPv4'];
}

function printNet(): string[] {
  return [
    'link add br0 type bridge mcast_snooping 0',
    'link set br0 up',
    ...uplinks.map((name) => `link set up-${name} master br0 up`),
  ];
}

function printUplink(place: 'node' | 'node2' | 'ext'): string[] {
  return [
    'link set eth0 up',
    `addr add ${addresses[place].IPv4}/24 dev eth0`,
    `addr add ${addresses[place].IPv6}/64 dev eth0 nodad`,
  ];
}

function printNode(node: 'node' | 'node2'): string[] {
  const other = node === 'node' ? 'node2' : 'node';
  const routes = (networks: readonly string[], via: Place): string[] =>
    networks.map((network) => `route add ${network} via ${viaOf(network, via)}`);
  return [
    ...printUplink(node),
    ...podsOf[node].flatMap((pod) => [
      `link set veth${pod} up`,
      `addr add ${gateways[node].IPv4}/32 dev veth${pod}`,
      `addr add ${gateways[node].IPv6}/128 dev veth${pod} nodad`,
      `route add ${addresses[pod].IPv4}/32 dev veth${pod}`,
      `route add ${addresses[pod].IPv6}/128 dev veth${pod}`,
    ]),
    ...routes([gateways[other].network4, gateways[other].network6], other),
    // A node has a default route. Without one, its own packets to a VIP would be lost before they are rewritten.
    ...routes(servicePrefixes, node === 'node' ? 'ext' : 'node'),
    node === 'node2'
      ? `route add ${crowd.network} dev vethe`
      : `route add ${crowd.network} via ${addresses.node2.IPv4}`,
  ];
}

function printExt(): string[] {
  const reach = (networks: readonly string[], via: Place): string[] =>
    networks.map((network) => `route add ${network} via ${viaOf(network, via)}`);
  return [
    ...printUplink('ext'),
    ...reach(servicePrefixes, 'node'),
    ...reach([gateways.node.network4, gateways.node.network6], 'node'),
    ...reach([gateways.node2.network4, gateways.node2.network6, crowd.network], 'node2'),
  ];
}

function printPod(pod: Pod): string[] {
  const { IPv4, IPv6 } = (podsOf.node as readonly Pod[]).includes(pod) ? gateways.node : gateways.node2;
  return [
    'link set eth0 up',
    `addr add ${addresses[pod].IPv4}/32 dev eth0`,
    `addr add ${addresses[pod].IPv6}/128 dev eth0 nodad`,
    `route add ${IPv4}/32 dev eth0 scope link`,
    `route add default via ${IPv4} dev eth0`,
    `route add ${IPv6}/128 dev eth0`,
    `route add ::/0 via ${IPv6} dev eth0`,
    ...(pod === 'e' ? [`route add local ${crowd.network} dev lo`] : []),
  ];
}

function printPlace(name: Namespace): string[] {
  if (name === 'net') return printNet();
  if (name === 'ext') return printExt();
  return name === 'node' || name === 'node2' ? printNode(name) : printPod(name);
}

/**
 * A router that forwards a packet to the device from which it came tells the sender about the shorter way (ICMP redirect). For a
 * second after that it may not send it any other ICMP message, so that rejections would be lost.
 */
const routerSysctls = [
  ['ipv4/ip_forward', 1],
  ['ipv6/conf/all/forwarding', 1],
  ['ipv4/conf/*/rp_filter', 0],
  ['ipv4/conf/*/send_redirects', 0],
  ['ipv4/icmp_ratelimit', 0],
  ['ipv6/icmp/ratelimit', 0],
] as const;

/** Shell text that sets up the namespace in which it runs as the place: sysctls, addresses, routes. */
export function printSetup(name: Namespace): string {
  const sysctls = [
    ['ipv6/conf/*/disable_ipv6', 0],
    ['ipv6/conf/*/accept_dad', 0],
    // A new namespace starts with the host's value.
    ['ipv4/conf/all/route_localnet', 0],
    ...(name === 'node' || name === 'node2' ? routerSysctls : []),
  ] as const;
  return [
    'set -e',
    ...sysctls.map(([path, value]) => `for f in /proc/sys/net/${path}; do echo ${value} > $f; done`),
    "ip -batch - <<'END'",
    'link set lo up',
    ...printPlace(name),
    'END',
  ].join('\n');
}
