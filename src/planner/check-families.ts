/** Checks that configuration, Node and machine agree about the IP families, by kube-proxy's rules (checkBadIPConfig). */
import { type Family, parseCidr } from '../model/address';
import type { Node } from '../model/cluster';
import { choosePrimaryFamily, type NodeConfig } from './node-settings';

export interface FamilyProblem {
  /** kube-proxy would not start with it. */
  readonly isFatal: boolean;
  readonly message: string;
}

/** @param supported the families for which this machine has iptables. */
export function checkFamilies(
  config: Pick<NodeConfig, 'bindAddress' | 'detectLocalMode' | 'clusterCIDRs' | 'nodePortAddresses'>,
  node: Node | undefined,
  supported: readonly Family[],
): FamilyProblem[] {
  const primary = choosePrimaryFamily(node, config.bindAddress);
  const other = primary === 'IPv4' ? 'IPv6' : 'IPv4';
  const isSingle = supported.length < 2;
  const which = isSingle ? 'only family' : 'primary family';
  if (!supported.includes(primary))
    return [
      {
        isFatal: true,
        message: `the node's primary family is ${primary}, but this machine has iptables only for ${other}`,
      },
    ];
  const problems: FamilyProblem[] = [];
  const check = (cidrs: readonly string[], what: string, isFatal: boolean): void => {
    if (cidrs.length > 0 && cidrs.every((cidr) => familyOfCidr(cidr) === other))
      problems.push({ isFatal, message: `${what}: only ${other} addresses, but the node's ${which} is ${primary}` });
  };
  if (config.detectLocalMode === 'ClusterCIDR') check(config.clusterCIDRs, 'clusterCIDR', isSingle);
  if (config.detectLocalMode === 'NodeCIDR') check(node?.podCIDRs ?? [], "the Node's podCIDRs", true);
  check(config.nodePortAddresses, 'nodePortAddresses', false);
  return problems;
}

function familyOfCidr(text: string): Family | undefined {
  return parseCidr(text)?.family;
}
