import type { LocalDetector } from '../model/local-detector';
import {
  type Cidr,
  type Family,
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
  /** The host's name or its override, in upper or lower case. */
  readonly hostname: string;
  readonly detectLocalMode: 'ClusterCIDR' | 'NodeCIDR' | 'BridgeInterface' | 'InterfaceNamePrefix';
  readonly clusterCIDRs: readonly string[];
  readonly bridgeInterface: string;
  readonly interfaceNamePrefix: string;
  /** CIDRs, or `primary` for the node's own IPs. Empty for all addresses. */
  readonly nodePortAddresses: readonly string[];
  readonly masqueradeAll: boolean;
  readonly localhostNodePorts: boolean;
  readonly allowServiceExternalIPs: boolean;
  /** The mode's rules list each of the node's addresses. */
  readonly needsHostAddresses?: boolean;
  /** Used instead of the Node's IP of its family. Not used if it is '' or a wildcard address. */
  readonly bindAddress: string;
}

export interface SettingsWarning {
  readonly kind:
    | 'bad-cidr'
    /** This node's pods cannot be told from other sources in one family. */
    | 'no-local-cidr'
    /** NodePorts do not answer on any address of one family. */
    | 'no-node-port-address'
    /** A node-port address that the kernel does not route. */
    | 'loopback-node-port-address'
    | 'localhost-node-ports-off';
  readonly message: string;
}

type Warn = (kind: SettingsWarning['kind'], message: string) => void;

const loopbackNet: Cidr = { family: 'IPv4', address: '127.0.0.0', prefix: 8 };

function parseCidrs(texts: readonly string[], what: string, warn: Warn): Cidr[] {
  return texts.flatMap((text) => {
    const cidr = parseCidr(text.trim());
    if (cidr === undefined) warn('bad-cidr', `${what}: "${text}" is not a CIDR and is ignored`);
    return cidr ?? [];
  });
}

/** Returns the address to bind to, if there is one, and then the Node's addresses, best first. */
function addressesOf(node: Node | undefined, bindAddress: string): readonly string[] {
  const bound = parseAddress(bindAddress);
  const isGiven = bound !== undefined && addressBits(bound) !== 0n;
  return [...(isGiven ? [bound] : []), ...(node?.addresses ?? [])];
}

/** Returns the first address of each family. */
function nodeIPsOf(node: Node | undefined, bindAddress: string): Partial<Record<Family, string>> {
  const nodeIPs: Partial<Record<Family, string>> = {};
  for (const address of addressesOf(node, bindAddress)) nodeIPs[familyOf(address)] ??= address;
  return nodeIPs;
}

/** Returns the family of the node's first address, or IPv4 if it has none. */
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
    // A single-family node gets no warning about the other family.
    if (cidrs.length === 0 ? family === 'IPv4' : node?.addresses.some((address) => familyOf(address) === family)) {
      const which = cidrs.length === 0 ? '' : `${family} `;
      warn(
        'no-local-cidr',
        `detectLocalMode ${config.detectLocalMode}: ${what} has no ${which}CIDR, so this node's pods cannot be told from other sources`,
      );
    }
    return none;
  };
  return { IPv4: detectorOf('IPv4'), IPv6: detectorOf('IPv6') };
}

/** Reads the configured list and replaces `primary` by the node's own IPs. */
function nodePortCidrs(config: NodeConfig, nodeIPs: NodeSettings['nodeIPs'], warn: Warn): Cidr[] {
  const primary = families.flatMap((family) => {
    const address = nodeIPs[family];
    return address === undefined || isLoopback(address) ? [] : `${address}/${addressWidth(family)}`;
  });
  const texts = config.nodePortAddresses.flatMap((text) => (text === 'primary' ? primary : text));
  return parseCidrs(texts, 'nodePortAddresses', warn);
}

/** What decides on which addresses NodePorts answer. */
interface NodePortScope {
  /** The configured list. */
  readonly cidrs: readonly Cidr[];
  readonly hostAddresses: readonly string[];
  /** Whether NodePorts also answer on IPv4 loopback addresses. They never do on the IPv6 one. */
  readonly localhostNodePorts: boolean;
}

/** If the list has no CIDR of a family, or a /0, NodePorts answer on all addresses of that family. */
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
      `nodePortAddresses: this node has no ${family} address in ${list}, so NodePorts do not answer on ${family}`,
    );
  }
  return { kind: 'some', addresses };
}

/** Whether the list includes the IPv4 loopback network, or a part of it. */
function includeLoopback(cidrs: readonly Cidr[]): boolean {
  const ofIPv4 = cidrs.filter((cidr) => cidr.family === 'IPv4');
  return (
    ofIPv4.length === 0 ||
    ofIPv4.some((cidr) => cidrContains(loopbackNet, cidr.address) || cidrContains(cidr, loopbackNet.address))
  );
}

/** Whether a configuration makes NodePorts answer on IPv4 loopback addresses. It does not need the node's IPs: those are never loopback. */
export function answersOnLocalhost(config: Pick<NodeConfig, 'localhostNodePorts' | 'nodePortAddresses'>): boolean {
  if (config.nodePortAddresses.includes('primary')) return false;
  const cidrs = config.nodePortAddresses.flatMap((text) => parseCidr(text) ?? []);
  return config.localhostNodePorts && includeLoopback(cidrs);
}

/**
 * Returns what the Plan needs to know about this node.
 *
 * @param node undefined while the cluster does not know the node.
 * @param hostAddresses the canonical addresses of all of the host's interfaces.
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

/** Returns the addresses on which VIPs and NodePorts can be, by kube-proxy's rule. */
function servingAddresses(hostAddresses: readonly string[]): readonly string[] {
  return [...new Set(hostAddresses.filter((address) => !isLoopback(address) && !isLinkLocalIPv6(address)))].sort();
}
