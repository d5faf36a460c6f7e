import type { LocalDetector } from '../model/local-detector';
import {
  type Family,
  addressBits,
  familyOf,
  formatCidr,
  isLinkLocalIPv6,
  isLoopback,
  parseAddress,
} from '../model/address';
import type { Node } from '../model/cluster';
import { chooseNodePorts, type NodePortsConfig, type NodePortsWarning } from './node-port-addresses';
import { parseCidrs } from './parse-cidrs';
import type { NodeSettings } from './plan';

/** What the configuration says about this node, in kube-proxy's terms. */
export interface NodeConfig extends NodePortsConfig {
  /** The host's name or its override, in upper or lower case. */
  readonly hostname: string;
  readonly detectLocalMode: 'ClusterCIDR' | 'NodeCIDR' | 'BridgeInterface' | 'InterfaceNamePrefix';
  readonly clusterCIDRs: readonly string[];
  readonly bridgeInterface: string;
  readonly interfaceNamePrefix: string;
  readonly masqueradeAll: boolean;
  readonly allowServiceExternalIPs: boolean;
  /** The mode's rules list each of the node's addresses. */
  readonly needsHostAddresses?: boolean;
  /** Used instead of the Node's IP of its family. Not used if it is '' or a wildcard address. */
  readonly bindAddress: string;
}

export interface SettingsWarning {
  readonly kind:
    | NodePortsWarning['kind']
    /** This node's pods cannot be told from other sources in one family. */
    | 'no-local-cidr';
  readonly message: string;
}

type Warn = (kind: SettingsWarning['kind'], message: string) => void;

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
  const cidrs = parseCidrs(texts, what, (message) => warn('bad-cidr', message));
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

/**
 * Returns what the Plan needs to know about this node.
 *
 * @param node undefined while the cluster does not know the node.
 * @param hostAddresses the canonical addresses of all of the host's interfaces.
 * @param serviceCIDRs canonical, sorted; undefined in modes that do not read them.
 */
export function planNodeSettings(
  config: NodeConfig,
  node: Node | undefined,
  hostAddresses: readonly string[],
  serviceCIDRs?: readonly string[],
): { readonly settings: NodeSettings; readonly warnings: readonly SettingsWarning[] } {
  const warnings: SettingsWarning[] = [];
  const warn: Warn = (kind, message) => void warnings.push({ kind, message });
  const nodeIPs = nodeIPsOf(node, config.bindAddress);
  const localDetector = chooseDetectors(config, node, warn);
  const settings: NodeSettings = {
    nodeName: config.hostname.trim().toLowerCase(),
    zone: node?.zone ?? '',
    nodeIPs,
    allowServiceExternalIPs: config.allowServiceExternalIPs,
    masqueradeAll: config.masqueradeAll,
    localDetector,
    ...chooseNodePorts(config, nodeIPs, hostAddresses, warn),
    ...(config.needsHostAddresses === true ? { hostAddresses: servingAddresses(hostAddresses) } : {}),
    ...(serviceCIDRs === undefined ? {} : { serviceCIDRs }),
  };
  return { settings, warnings };
}

/** Returns the addresses on which VIPs and NodePorts can be, by kube-proxy's rule. */
function servingAddresses(hostAddresses: readonly string[]): readonly string[] {
  return [...new Set(hostAddresses.filter((address) => !isLoopback(address) && !isLinkLocalIPv6(address)))].sort();
}
