/**
 * The chains of one service port in nat:
 *
 *   KUBE-SVC-h  balances over the cluster's endpoints      KUBE-EXT-h  external traffic: which source is kept, which list is used
 *   KUBE-SVL-h  balances over this node's endpoints        KUBE-FW-h   loadBalancerSourceRanges, in front of KUBE-EXT
 *
 * Endpoints are DNAT rules in the chain itself. kube-proxy's one chain per endpoint costs ten times as much to load.
 */
import { protocolName } from '../../model/protocol';
import { type Family, hostCidr, joinHostPort } from '../../model/address';
import type { LocalDetector } from '../../model/local-detector';
import { type Frontend, type PlanEndpoint, type ServicePortPlan, takesNew } from '../../planner/plan';
import { type Chains, markMasquerade, matchLocalPods } from '../../xtables/common-rules';
import { affinityListName, hash16, servicePortIdentity } from './names';

/** A list with more endpoints than this is balanced in two levels, so that one changed endpoint rewrites some two hundredths of it. */
const flatListSize = 128;

export interface ServiceChainNames {
  readonly cluster: string;
  readonly local: string;
  readonly external: string;
  readonly firewall: string;
}

export function serviceChainNames(port: ServicePortPlan): ServiceChainNames {
  const hash = hash16(servicePortIdentity(port));
  return {
    cluster: `KUBE-SVC-${hash}`,
    local: `KUBE-SVL-${hash}`,
    external: `KUBE-EXT-${hash}`,
    firewall: `KUBE-FW-${hash}`,
  };
}

/** Whether nat forwards any packets of the frontend. filter rejects or drops those that nat does not forward. */
export function isForwarded(frontend: Frontend): boolean {
  return frontend.verdict.kind === 'forward' || frontend.localSourcesToCluster;
}

export function renderServiceChains(
  port: ServicePortPlan,
  names: ServiceChainNames,
  family: Family,
  detector: LocalDetector,
): Chains {
  const chains: Chains = new Map();
  const clusterIP = port.frontends.find((frontend) => frontend.kind === 'ClusterIP');
  const external = port.frontends.filter((frontend) => frontend.kind !== 'ClusterIP' && isForwarded(frontend));
  const uses = (list: 'cluster' | 'local'): boolean =>
    port.frontends.some(
      ({ verdict, localSourcesToCluster }) =>
        (verdict.kind === 'forward' && verdict.endpoints === list) || (list === 'cluster' && localSourcesToCluster),
    );
  for (const list of ['cluster', 'local'] as const) {
    if (!uses(list)) continue;
    const balance = renderBalancing(port, list, family, chains);
    const mark = clusterIP?.verdict.kind === 'forward' && clusterIP.verdict.endpoints === list;
    chains.set(names[list], [...(mark ? clusterIPMarks(clusterIP, list, port, detector) : []), ...balance]);
  }
  const [first] = external;
  if (first !== undefined) chains.set(names.external, renderExternal(first, names, detector));
  const restricted = external.filter((frontend) => frontend.sourceRanges !== undefined);
  if (restricted.length > 0) chains.set(names.firewall, renderFirewall(restricted, names));
  return chains;
}

function clusterIPMarks(
  frontend: Frontend,
  list: 'cluster' | 'local',
  port: ServicePortPlan,
  detector: LocalDetector,
): string[] {
  if (frontend.masquerade === 'never') return [];
  const others = frontend.masquerade === 'always' ? '' : matchLocalPods(detector, false);
  if (others === undefined) return [];
  // KUBE-EXT leads only marked packets and those of this node's pods to the cluster list, so the rule need not match the ClusterIP.
  if (others !== '' && list === 'cluster') return [`${others} ${markMasquerade}`];
  const protocol = protocolName(port.protocol);
  const host = `-d ${hostCidr(frontend.address)}`;
  // iptables-save prints interfaces after addresses.
  const sources = others.startsWith('! -i') ? `${host} ${others}` : `${others} ${host}`.trimStart();
  return [`${sources} -p ${protocol} -m ${protocol} --dport ${frontend.port} ${markMasquerade}`];
}

/** All external frontends of a port have the same policy, so the first one stands for all. */
function renderExternal(frontend: Frontend, names: ServiceChainNames, detector: LocalDetector): string[] {
  const rules: string[] = [];
  if (frontend.masquerade === 'always') rules.push(markMasquerade);
  if (frontend.localSourcesToCluster) {
    const pods = matchLocalPods(detector, true);
    if (pods !== undefined) rules.push(`${pods} -j ${names.cluster}`);
    rules.push(`-m addrtype --src-type LOCAL ${markMasquerade}`);
    rules.push(`-m addrtype --src-type LOCAL -j ${names.cluster}`);
  }
  if (frontend.verdict.kind === 'forward') rules.push(`-j ${names[frontend.verdict.endpoints]}`);
  return rules;
}

/** A packet that this chain does not let through keeps the VIP as its destination. filter's KUBE-PROXY-FIREWALL drops it. */
function renderFirewall(restricted: readonly Frontend[], names: ServiceChainNames): string[] {
  // All frontends of a Service have the same list.
  const lists = new Set(restricted.map((frontend) => frontend.sourceRanges));
  const ranges = new Set([...lists].flatMap((list) => list ?? []));
  for (const { address, sourceRangesHaveNode } of restricted)
    if (sourceRangesHaveNode === true) ranges.add(hostCidr(address));
  return [...ranges].map((range) => `-s ${range} -j ${names.external}`);
}

/** The rules that pick an endpoint. A long list gets chains of its own, which are added to `chains`. */
function renderBalancing(port: ServicePortPlan, list: 'cluster' | 'local', family: Family, chains: Chains): string[] {
  const identity = servicePortIdentity(port);
  const chosen = list === 'cluster' ? port.clusterEndpoints : port.localEndpoints;
  // Clients that are remembered at another one move on, too.
  const endpoints = chosen.filter(takesNew);
  const rules = {
    port,
    identity,
    mask: family === 'IPv4' ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  };
  if (endpoints.length <= flatListSize) return [...rememberedRules(endpoints, rules), ...pickRules(endpoints, rules)];

  const groups = groupEndpoints(endpoints);
  const remembered: string[] = [];
  const picks: string[] = [];
  let left = weigh(endpoints);
  for (const [at, group] of groups.entries()) {
    if (group.length === 0) continue;
    const chain = (kind: string): string => `KUBE-SEP-${hash16(`${identity}/${list}/${kind}/${at}/${groups.length}`)}`;
    chains.set(chain('pick'), pickRules(group, rules));
    picks.push(`${chance(weigh(group), left)}-j ${chain('pick')}`);
    left -= weigh(group);
    if (port.affinitySeconds === 0) continue;
    chains.set(chain('remembered'), rememberedRules(group, rules));
    remembered.push(`-j ${chain('remembered')}`);
  }
  return [...remembered, ...picks];
}

interface BalancingRules {
  readonly port: ServicePortPlan;
  readonly identity: string;
  readonly mask: string;
}

/** Rules for clients that were here before. `--update`: an active client stays remembered. */
function rememberedRules(endpoints: readonly PlanEndpoint[], { port, identity, mask }: BalancingRules): string[] {
  if (port.affinitySeconds === 0) return [];
  const protocol = protocolName(port.protocol);
  return endpoints.map((endpoint) => {
    const name = affinityListName(identity, endpoint);
    const recent = `-m recent --update --seconds ${port.affinitySeconds} --reap --name ${name} --mask ${mask} --rsource`;
    return `-p ${protocol} ${recent} -j DNAT --to-destination ${joinHostPort(endpoint.address, endpoint.port)}`;
  });
}

function pickRules(endpoints: readonly PlanEndpoint[], { port, identity, mask }: BalancingRules): string[] {
  const protocol = protocolName(port.protocol);
  let left = weigh(endpoints);
  return endpoints.map((endpoint) => {
    // Matches are evaluated in order: the client is written to the list only when the random match has picked the endpoint.
    const set =
      port.affinitySeconds === 0
        ? ''
        : `-m recent --set --name ${affinityListName(identity, endpoint)} --mask ${mask} --rsource `;
    const to = joinHostPort(endpoint.address, endpoint.port);
    const { weight = 1 } = endpoint;
    const pick = chance(weight, left);
    left -= weight;
    return `-p ${protocol} ${pick}${set}-j DNAT --to-destination ${to}`;
  });
}

function weigh(endpoints: readonly PlanEndpoint[]): number {
  return endpoints.reduce((sum, { weight = 1 }) => sum + weight, 0);
}

/** A match with the probability part / of, in steps of 2^-31 as iptables-save prints it. Certainty needs no match. */
function chance(part: number, of: number): string {
  if (part === of) return '';
  const steps = Math.round((part / of) * 2 ** 31);
  return `-m statistic --mode random --probability ${(steps / 2 ** 31).toFixed(11)} `;
}

/** About as many groups as the square root of the list's length. Each endpoint is in the group of its own hash, so that the others stay. */
function groupEndpoints(endpoints: readonly PlanEndpoint[]): PlanEndpoint[][] {
  const count = 2 ** Math.ceil(Math.log2(Math.sqrt(endpoints.length)));
  const groups = Array.from({ length: count }, (): PlanEndpoint[] => []);
  for (const endpoint of endpoints) groups[fnv1a(`${endpoint.address} ${endpoint.port}`) & (count - 1)]?.push(endpoint);
  return groups;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash ^ (hash >>> 16);
}
