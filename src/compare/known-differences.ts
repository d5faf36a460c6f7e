/** Where vipwire does something else than kube-proxy on purpose. */
import type { Frontend } from '../planner/plan';
import type { TracedKernel } from '../trace/kernel';
import type { Finding, KnownDifference } from './difference';
import type { Source } from './sources';

const inside: KnownDifference = {
  why: 'in IPVS mode kube-proxy holds clients on this node to its own endpoints, and does not masquerade the node',
  issues: [71596, 75262],
};
const fallback: KnownDifference = {
  why: "in IPVS mode kube-proxy falls back to other nodes' endpoints where policy Local has none here",
  issues: [93456, 97081],
};
const elsewhere: KnownDifference = {
  why: 'the address is that of a Node: it is not made one of this machine, and packets to it go to that Node',
  issues: [127410],
};
export const contested: KnownDifference = {
  why: 'several Services claim this address and port: here the first by name has it, with kube-proxy chance decides',
  issues: [],
};

export function findKnown(
  { kind: rules, isElsewhere }: Pick<TracedKernel, 'kind' | 'isElsewhere'>,
  frontend: Frontend,
  { kind }: Source,
  { aspect, change }: Finding,
): KnownDifference | undefined {
  // Cluster IPs are always bound.
  const isExternal = frontend.kind === 'ExternalIP' || frontend.kind === 'LoadBalancer';
  if (isExternal && kind !== 'node' && isElsewhere?.(frontend.address) === true) return elsewhere;
  if (!rules.marksPastLocal) return undefined;
  const isInside = frontend.localSourcesToCluster && kind !== 'outside';
  if (isInside && (aspect === 'policy' || (aspect === 'masquerade' && change === 'missing' && kind === 'node')))
    return inside;
  return aspect === 'policy' && frontend.verdict.kind === 'drop' ? fallback : undefined;
}
