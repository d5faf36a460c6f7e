/** Whether configuration, Node and machine speak of the same IP families: kube-proxy's rules (checkBadIPConfig). */
import { type Family, parseCidr } from '../model/address';
import type { Node } from '../model/cluster';
import { choosePrimaryFamily, type NodeConfig } from './node-settings';

export interface FamilyProblem {
  /** kube-proxy would not start. */
  readonly isFatal: boolean;
  readonly message: string;
}

/** @param supported families that this machine has iptables for. */
export function checkFamilies(
  config: Pick<NodeConfig, 'bindAddress' | 'detectLocalMode' | 'clusterCIDRs' | 'nodePortAddresses'>,
  of: Node | undefined,
  supported: readonly Family[],
): FamilyProblem[] {
  const primary = choosePrimaryFamily(of, config.bindAddress);
  const other = primary === 'IPv4' ? 'IPv6' : 'IPv4';
  const isSingle = supported.length < 2;
  const node = `a node of ${isSingle ? '' : 'primary '}family ${primary}`;
  if (!supported.includes(primary))
    return [
      {
        isFatal: true,
        message: `the node's primary family is ${primary}, and this machine has iptables for ${other} alone`,
      },
    ];
  const problems: FamilyProblem[] = [];
  const check = (cidrs: readonly string[], what: string, isFatal: boolean): void => {
    if (cidrs.length > 0 && cidrs.every((cidr) => familyOfCidr(cidr) === other))
      problems.push({ isFatal, message: `${what}: ${other} addresses alone, on ${node}` });
  };
  if (config.detectLocalMode === 'ClusterCIDR') check(config.clusterCIDRs, 'clusterCIDR', isSingle);
  if (config.detectLocalMode === 'NodeCIDR') check(of?.podCIDRs ?? [], "the Node's podCIDRs", true);
  check(config.nodePortAddresses, 'nodePortAddresses', false);
  return problems;
}

function familyOfCidr(text: string): Family | undefined {
  return parseCidr(text)?.family;
}
