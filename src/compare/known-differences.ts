/** The cases in which vipwire differs from kube-proxy on purpose. */
import type { Frontend } from '../planner/plan';
import type { TracedKernel } from '../trace/kernel';
import type { Finding, KnownDifference } from './difference';
import type { Source } from './sources';

const inside: KnownDifference = {
  why: "in IPVS mode kube-proxy sends clients on this node only to this node's endpoints, and does not masquerade the node",
  issues: [71596, 75262],
};
const fallback: KnownDifference = {
  why: "in IPVS mode kube-proxy falls back to other nodes' endpoints if policy Local has none on this node",
  issues: [93456, 97081],
};
const elsewhere: KnownDifference = {
  why: 'the address belongs to a Node: it is not added to this machine, so packets to it go to that Node',
  issues: [127410],
};
export const contested: KnownDifference = {
  why: 'several Services claim this address and port: vipwire gives it to the first by name, kube-proxy to any of them',
  issues: [],
};

export function findKnown(
  { kind: rules, isElsewhere }: Pick<TracedKernel, 'kind' | 'isElsewhere'>,
  frontend: Frontend,
  { kind }: Source,
  { aspect, change }: Finding,
): KnownDifference | undefined {
  // Cluster IPs are always added to this machine.
  const isExternal = frontend.kind === 'ExternalIP' || frontend.kind === 'LoadBalancer';
  if (isExternal && kind !== 'node' && isElsewhere?.(frontend.address) === true) return elsewhere;
  if (!rules.marksPastLocal) return undefined;
  const isInside = frontend.localSourcesToCluster && kind !== 'outside';
  if (isInside && (aspect === 'policy' || (aspect === 'masquerade' && change === 'missing' && kind === 'node')))
    return inside;
  return aspect === 'policy' && frontend.verdict.kind === 'drop' ? fallback : undefined;
}
