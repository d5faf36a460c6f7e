import type { LocalDetector } from '../model/local-detector';
import type { Cidr, Family } from '../model/address';
import {
  addressBits,
  addressWidth,
  cidrContains,
  families,
  familyOf,
  formatCidr,
  isLinkLocalIPv6,
  isLoopback,
  parseAddress,
  parseCidr,
} from '../model/address';
import type { Node } from '../model/cluster';
import type { NodePortAddresses, NodeSettings } from './plan';

/** What the configuration says about this node, in kube-proxy's terms. */
export interface NodeConfig {
  /** The host's name or what overrides it, in any case. */
  readonly hostname: string;
  readonly detectLocalMode: 'ClusterCIDR' | 'NodeCIDR' | 'BridgeInterface' | 'InterfaceNamePrefix';
  readonly clusterCIDRs: readonly string[];
  readonly bridgeInterface: string;
  readonly interfaceNamePrefix: string;
  /** CIDRs, or `primary` for the node's own IPs; empty: all addresses. */
  readonly nodePortAddresses: readonly string[];
  readonly masqueradeAll: boolean;
  readonly localhostNodePorts: boolean;
  readonly allowServiceExternalIPs: boolean;
  /** The mode names each of the node's addresses. */
  readonly needsHostAddresses?: boolean;
  /** In the place of the Node's IP of its family; '' or a wildcard: none. */
  readonly bindAddress: string;
}

export interface SettingsWarning {
  readonly kind:
    | 'bad-cidr'
    /** No telling this node's pods from others in a family. */
    | 'no-local-cidr'
    /** NodePorts answer nowhere in a family. */
    | 'no-node-port-address'
    /** A node-port address that the kernel would not route. */
    | 'loopback-node-port-address'
    | 'localhost-node-ports-off';
  readonly message: string;
}

type Warn = (kind: SettingsWarning['kind'], message: string) => void;

const loopbackNet: Cidr = { family: 'IPv4', address: '127.0.0.0', prefix: 8 };

function parseCidrs(texts: readonly string[], what: string, warn: Warn): Cidr[] {
  return texts.flatMap((text) => {
    const cidr = parseCidr(text.trim());
    if (cidr === undefined) warn('bad-cidr', `${what}: "${text}" is no CIDR and is left out`);
    return cidr ?? [];
  });
}

/** The Node's addresses, best first; an address to bind to stands before them. */
function addressesOf(node: Node | undefined, bindAddress: string): readonly string[] {
  const bound = parseAddress(bindAddress);
  const isGiven = bound !== undefined && addressBits(bound) !== 0n;
  return [...(isGiven ? [bound] : []), ...(node?.addresses ?? [])];
}

/** The first of each family. */
function nodeIPsOf(node: Node | undefined, bindAddress: string): Partial<Record<Family, string>> {
  const nodeIPs: Partial<Record<Family, string>> = {};
  for (const address of addressesOf(node, bindAddress)) nodeIPs[familyOf(address)] ??= address;
  return nodeIPs;
}

/** Of the first address; IPv4 where there is none. */
export function choosePrimaryFamily(node: Node | undefined, bindAddress: string): Family {
  const [first] = addressesOf(node, bindAddress);
  return first === undefined ? 'IPv4' : familyOf(first);
}

function chooseDetectors(config: NodeConfig, node: Node | undefined, warn: Warn): Record<Family, LocalDetector> {
  const none: LocalDetector = { kind: 'none' };
  if (config.detectLocalMode === 'BridgeInterface') {
    const bridge: LocalDetector = { kind: 'interface', name: config.bridgeInterface };
    return { IPv4: bridge, IPv6: bridge };
  }
  if (config.detectLocalMode === 'InterfaceNamePrefix') {
    const byPrefix: LocalDetector = { kind: 'interface-prefix', prefix: config.interfaceNamePrefix };
    return { IPv4: byPrefix, IPv6: byPrefix };
  }
  const [texts, what] =
    config.detectLocalMode === 'ClusterCIDR'
      ? [config.clusterCIDRs, 'clusterCIDR']
      : [node?.podCIDRs ?? [], "the Node's podCIDRs"];
  const cidrs = parseCidrs(texts, what, warn);
  const detectorOf = (family: Family): LocalDetector => {
    const cidr = cidrs.find((cidr) => cidr.family === family);
    if (cidr !== undefined) return { kind: 'cidr', cidr: formatCidr(cidr) };
    // A node of one family is not told about the other.
    if (cidrs.length === 0 ? family === 'IPv4' : node?.addresses.some((address) => familyOf(address) === family)) {
      const which = cidrs.length === 0 ? '' : `${family} `;
      warn(
        'no-local-cidr',
        `detectLocalMode ${config.detectLocalMode}: ${what} has no ${which}CIDR, so pods count as no sources of their own`,
      );
    }
    return none;
  };
  return { IPv4: detectorOf('IPv4'), IPv6: detectorOf('IPv6') };
}

/** The configured list, with `primary` as the node's own IPs. */
function nodePortCidrs(config: NodeConfig, nodeIPs: NodeSettings['nodeIPs'], warn: Warn): Cidr[] {
  const primary = families.flatMap((family) => {
    const address = nodeIPs[family];
    return address === undefined || isLoopback(address) ? [] : `${address}/${addressWidth(family)}`;
  });
  const texts = config.nodePortAddresses.flatMap((text) => (text === 'primary' ? primary : text));
  return parseCidrs(texts, 'nodePortAddresses', warn);
}

/** What NodePorts may answer on. */
interface NodePortScope {
  /** As configured. */
  readonly cidrs: readonly Cidr[];
  readonly hostAddresses: readonly string[];
  /** Whether IPv4 loopback addresses are among them; IPv6 ones never are. */
  readonly localhostNodePorts: boolean;
}

/** A list that says nothing about a family lets all of the family's addresses be, as does a /0. */
function chooseNodePortAddresses(
  family: Family,
  { cidrs, hostAddresses, localhostNodePorts }: NodePortScope,
  warn: Warn,
): NodePortAddresses {
  const takesLoopback = family === 'IPv4' && localhostNodePorts;
  const ofFamily = cidrs.filter((cidr) => cidr.family === family);
  if (ofFamily.length === 0 || ofFamily.some((cidr) => cidr.prefix === 0)) return { kind: 'all' };
  const matched = [...new Set(hostAddresses)].filter((address) => ofFamily.some((cidr) => cidrContains(cidr, address)));
  const addresses = matched.filter((address) => takesLoopback || !isLoopback(address)).sort();
  if (addresses.length < matched.length) {
    warn('loopback-node-port-address', `nodePortAddresses: NodePorts do not answer on ${family} loopback addresses`);
  }
  if (addresses.length === 0) {
    const list = ofFamily.map(formatCidr).join(', ');
    warn(
      'no-node-port-address',
      `nodePortAddresses: this node has no ${family} address in ${list}: NodePorts answer nowhere`,
    );
  }
  return { kind: 'some', addresses };
}

/** Whether IPv4 NodePorts are meant to answer on the loopback net too. */
function includeLoopback(cidrs: readonly Cidr[]): boolean {
  const ofIPv4 = cidrs.filter((cidr) => cidr.family === 'IPv4');
  return (
    ofIPv4.length === 0 ||
    ofIPv4.some((cidr) => cidrContains(loopbackNet, cidr.address) || cidrContains(cidr, loopbackNet.address))
  );
}

/** The same of a configuration, before the node's own IPs are known: they are not of the loopback net. */
export function answersOnLocalhost(config: Pick<NodeConfig, 'localhostNodePorts' | 'nodePortAddresses'>): boolean {
  if (config.nodePortAddresses.includes('primary')) return false;
  const cidrs = config.nodePortAddresses.flatMap((text) => parseCidr(text) ?? []);
  return config.localhostNodePorts && includeLoopback(cidrs);
}

/**
 * What the Plan needs to know of this node. `node` is undefined while the cluster does not know it; `hostAddresses` are
 * the canonical addresses of all of the host's interfaces.
 */
export function planNodeSettings(
  config: NodeConfig,
  node: Node | undefined,
  hostAddresses: readonly string[],
): { readonly settings: NodeSettings; readonly warnings: readonly SettingsWarning[] } {
  const warnings: SettingsWarning[] = [];
  const warn: Warn = (kind, message) => void warnings.push({ kind, message });
  const nodeIPs = nodeIPsOf(node, config.bindAddress);
  const localDetector = chooseDetectors(config, node, warn);
  const cidrs = nodePortCidrs(config, nodeIPs, warn);
  const localhostNodePorts = config.localhostNodePorts && includeLoopback(cidrs);
  if (config.localhostNodePorts && !localhostNodePorts) {
    warn('localhost-node-ports-off', 'nodePortAddresses has no loopback address: localhostNodePorts has no effect');
  }
  const addressesOf = (family: Family): NodePortAddresses =>
    chooseNodePortAddresses(family, { cidrs, hostAddresses, localhostNodePorts }, warn);
  const settings: NodeSettings = {
    nodeName: config.hostname.trim().toLowerCase(),
    zone: node?.zone ?? '',
    nodeIPs,
    allowServiceExternalIPs: config.allowServiceExternalIPs,
    masqueradeAll: config.masqueradeAll,
    localDetector,
    nodePortAddresses: { IPv4: addressesOf('IPv4'), IPv6: addressesOf('IPv6') },
    localhostNodePorts,
    ...(config.needsHostAddresses === true ? { hostAddresses: servingAddresses(hostAddresses) } : {}),
  };
  return { settings, warnings };
}

/** kube-proxy's idea of an address that VIPs and NodePorts can be on. */
function servingAddresses(hostAddresses: readonly string[]): readonly string[] {
  return [...new Set(hostAddresses.filter((address) => !isLoopback(address) && !isLinkLocalIPv6(address)))].sort();
}
