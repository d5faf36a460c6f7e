/** On which of this node's addresses NodePorts answer, by the configured list of CIDRs and words. */
import {
  type Cidr,
  type Family,
  addressWidth,
  cidrContains,
  families,
  familyOf,
  formatCidr,
  isLoopback,
} from '../model/address';
import { parseCidrs } from './parse-cidrs';
import type { NodePortAddresses, NodeSettings } from './plan';

/** The words that the list may have beside CIDRs. `primary` stands for the node's own IPs, which are known later. */
export const nodePortWords: ReadonlyMap<string, readonly string[]> = new Map([
  ['primary', []],
  ['localhost', ['127.0.0.0/8', '::1/128']],
  ['all', ['0.0.0.0/0', '::/0']],
]);

export interface NodePortsWarning {
  readonly kind:
    | 'bad-cidr'
    /** NodePorts do not answer on any address of one family. */
    | 'no-node-port-address'
    /** A node-port address that the kernel does not route. */
    | 'loopback-node-port-address'
    | 'localhost-node-ports-off';
  readonly message: string;
}

export interface NodePortsConfig {
  /** CIDRs and nodePortWords. Empty for all addresses. */
  readonly nodePortAddresses: readonly string[];
  readonly localhostNodePorts: boolean;
  /** The mode has a listener on ::1 for NodePorts. The kernel cannot rewrite packets to ::1. */
  readonly listensOnIPv6Loopback?: boolean;
}

type NodePortSettings = Pick<NodeSettings, 'nodePortAddresses' | 'localhostNodePorts' | 'localhostNodePortsIPv6'>;
type Warn = (kind: NodePortsWarning['kind'], message: string) => void;

const loopbackNets: Readonly<Record<Family, Cidr>> = {
  IPv4: { family: 'IPv4', address: '127.0.0.0', prefix: 8 },
  IPv6: { family: 'IPv6', address: '::1', prefix: 128 },
};

/** Whether the list names the family's loopback network, or a part of it. A network that merely contains it does not count. */
function nameLoopback(cidrs: readonly Cidr[], family: Family): boolean {
  const net = loopbackNets[family];
  return cidrs.some((cidr) => cidr.prefix >= net.prefix && cidrContains(net, cidr.address));
}

/** Whether the list includes the IPv4 loopback network, or a part of it. */
function includeLoopback(cidrs: readonly Cidr[]): boolean {
  const ofIPv4 = cidrs.filter(({ family }) => family === 'IPv4');
  const { address } = loopbackNets.IPv4;
  return ofIPv4.length === 0 || nameLoopback(ofIPv4, 'IPv4') || ofIPv4.some((cidr) => cidrContains(cidr, address));
}

function readList(
  { nodePortAddresses }: Pick<NodePortsConfig, 'nodePortAddresses'>,
  nodeIPs: NodeSettings['nodeIPs'],
  warn: Warn,
): Cidr[] {
  const primary = families.flatMap((family) => {
    const address = nodeIPs[family];
    return address === undefined || isLoopback(address) ? [] : `${address}/${addressWidth(family)}`;
  });
  const texts = nodePortAddresses.flatMap((text) => (text === 'primary' ? primary : (nodePortWords.get(text) ?? text)));
  return parseCidrs(texts, 'nodePortAddresses', (message) => warn('bad-cidr', message));
}

/** Whether a configuration makes NodePorts answer on IPv4 loopback addresses. It does not need the node's IPs: those are never loopback. */
export function answersOnLocalhost(config: NodePortsConfig): boolean {
  if (!config.localhostNodePorts) return false;
  const cidrs = readList(config, {}, () => undefined);
  const isPrimaryAlone = config.nodePortAddresses.includes('primary') && cidrs.every(({ family }) => family === 'IPv6');
  return !isPrimaryAlone && includeLoopback(cidrs);
}

/** @param hostAddresses the canonical addresses of all of the host's interfaces. */
export function chooseNodePorts(
  config: NodePortsConfig,
  nodeIPs: NodeSettings['nodeIPs'],
  hostAddresses: readonly string[],
  warn: Warn,
): NodePortSettings {
  const cidrs = readList(config, nodeIPs, warn);
  const localhostNodePorts = config.localhostNodePorts && includeLoopback(cidrs);
  const isOnlyPrimary = config.nodePortAddresses.length === 1 && config.nodePortAddresses[0] === 'primary';
  if (config.localhostNodePorts && !localhostNodePorts && !isOnlyPrimary)
    warn('localhost-node-ports-off', 'nodePortAddresses has no loopback address: localhostNodePorts has no effect');
  const listens = config.localhostNodePorts && config.listensOnIPv6Loopback === true && nameLoopback(cidrs, 'IPv6');
  const loopback: Readonly<Record<Family, LoopbackWay>> = {
    IPv4: localhostNodePorts ? 'rules' : 'none',
    IPv6: listens ? 'listener' : 'none',
  };
  const addressesOf = (family: Family): NodePortAddresses =>
    chooseAddresses(
      hostAddresses.filter((address) => familyOf(address) === family),
      cidrs.filter((cidr) => cidr.family === family),
      loopback[family],
      (kind, message) => warn(kind, `nodePortAddresses: ${message}`),
    );
  return {
    nodePortAddresses: { IPv4: addressesOf('IPv4'), IPv6: addressesOf('IPv6') },
    localhostNodePorts,
    ...(listens ? { localhostNodePortsIPv6: true } : {}),
  };
}

/** Who serves NodePorts on the loopback addresses of a family. */
type LoopbackWay = 'rules' | 'listener' | 'none';

/** If the list has no CIDR of a family, or a /0, NodePorts answer on all addresses of that family. */
function chooseAddresses(
  hostAddresses: readonly string[],
  cidrs: readonly Cidr[],
  loopback: LoopbackWay,
  warn: Warn,
): NodePortAddresses {
  const [first] = cidrs;
  if (first === undefined || cidrs.some((cidr) => cidr.prefix === 0)) return { kind: 'all' };
  const { family } = first;
  const matched = [...new Set(hostAddresses)].filter((address) => cidrs.some((cidr) => cidrContains(cidr, address)));
  const addresses = matched.filter((address) => loopback === 'rules' || !isLoopback(address)).sort();
  if (loopback === 'none' && addresses.length < matched.length)
    warn('loopback-node-port-address', `NodePorts do not answer on ${family} loopback addresses`);
  if (addresses.length === 0 && loopback !== 'listener' && hostAddresses.some((address) => !isLoopback(address))) {
    const list = cidrs.map(formatCidr).join(', ');
    warn(
      'no-node-port-address',
      `this node has no ${family} address in ${list}, so NodePorts do not answer on ${family}`,
    );
  }
  return { kind: 'some', addresses };
}
