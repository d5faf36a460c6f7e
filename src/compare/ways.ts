/** What happens to a source's new connections to a frontend, by the Plan and by the rules that were read. */
import { joinHostPort } from '../model/address';
import { type Frontend, type PlanEndpoint, type ServicePortPlan, takesNew } from '../planner/plan';
import type { TracedKernel } from '../trace/kernel';
import type { RulesKind } from '../trace/rules-kind';
import type { ProtocolName } from '../model/protocol';
import type { Connection, MatchedRule, MatchContext, Outcome } from '../trace/packet';
import { isIn, type Source } from './sources';

export interface EndpointShare {
  /** Its share of new connections, 0 to 1. */
  readonly share: number;
  /** It sees the node's address instead of the client's. */
  readonly isMasqueraded: boolean;
}

export type Unserved = 'refused' | 'dropped' | 'untouched';

export interface ExpectedWay {
  readonly kind: 'forwarded' | Unserved;
  /** Why it is not forwarded. */
  readonly why?: 'source ranges' | 'no endpoints' | 'no local endpoints';
  readonly list?: 'cluster' | 'local';
  /** By `address:port`. */
  readonly endpoints: ReadonlyMap<string, ExpectedShare>;
}

interface ExpectedShare extends EndpointShare {
  /** The endpoint's address is one of the node's own. */
  readonly isAtNode: boolean;
  /** It would be masqueraded if the endpoint's address were not one of the node's own. */
  readonly isDelivered: boolean;
}

export interface ObservedWay {
  readonly kind: 'forwarded' | Unserved | 'unknown';
  readonly endpoints: ReadonlyMap<string, EndpointShare>;
  /** The share of new connections that reaches no endpoint, if other connections do. */
  readonly lost: number;
  /** For how long the endpoints' clients are remembered: several values if the endpoints differ. 0: not remembered. */
  readonly affinitySeconds: ReadonlySet<number>;
  /** The rules that its most probable outcome matched. */
  readonly rules: readonly MatchedRule[];
}

const noEndpoints: ReadonlyMap<string, ExpectedShare> = new Map();

export interface ExpectScope {
  readonly rules: RulesKind;
  /** Compared with source ranges. '' if it is unknown. */
  readonly nodeIP: string;
  /** See TracedKernel. */
  readonly isLocal: (address: string) => boolean;
}

/**
 * Returns the way by the Plan. If the endpoint's address is one of the node's own, the endpoint sees the address of a client that is not
 * on the node, whatever the Plan says about masquerading: such a packet is delivered and never passes POSTROUTING. The node's own packets
 * do pass it, on their way out by lo. Hairpin connections are not considered: they always get the node's address.
 */
export function expectWay(
  port: ServicePortPlan,
  frontend: Frontend,
  source: Source,
  { rules, nodeIP, isLocal }: ExpectScope,
): ExpectedWay {
  const { verdict, masquerade, kind } = frontend;
  const isNode = source.kind === 'node';
  const to: Receiver = { isAtNode: isLocal, isFromNode: isNode };
  if (verdict.kind === 'reject') return { kind: 'refused', why: verdict.why, endpoints: noEndpoints };
  if (!isLetIn(frontend, isNode ? nodeIP : source.address))
    return { kind: 'dropped', why: 'source ranges', endpoints: noEndpoints };
  if (frontend.localSourcesToCluster && source.kind !== 'outside') return forwardTo(port, 'cluster', isNode, to);
  if (verdict.kind === 'drop') return { kind: 'dropped', why: verdict.why, endpoints: noEndpoints };
  // In IPVS mode the node's own packets have the VIP as their source, and an endpoint could not answer that.
  const isFromVip = rules.vipIsLocal && isNode && kind === 'ClusterIP';
  const isOther = masquerade === 'not-local-pods' && source.kind !== 'pods';
  return forwardTo(port, verdict.endpoints, masquerade === 'always' || isOther || isFromVip, to);
}

function isLetIn({ sourceRanges }: Frontend, address: string): boolean {
  return sourceRanges === undefined || sourceRanges.some((range) => isIn(range, address));
}

interface Receiver {
  readonly isAtNode: (address: string) => boolean;
  readonly isFromNode: boolean;
}

function forwardTo(
  port: ServicePortPlan,
  list: 'cluster' | 'local',
  isMasqueraded: boolean,
  { isAtNode, isFromNode }: Receiver,
): ExpectedWay {
  const all = list === 'cluster' ? port.clusterEndpoints : port.localEndpoints;
  const shares = sharesOf(all);
  const own = new Set(
    all.flatMap(({ address, port: number }) => (isAtNode(address) ? [joinHostPort(address, number)] : [])),
  );
  const endpoints = new Map(
    [...shares].map(([text, share]) => {
      const isDelivered = isMasqueraded && own.has(text) && !isFromNode;
      return [text, { share, isAtNode: own.has(text), isMasqueraded: isMasqueraded && !isDelivered, isDelivered }];
    }),
  );
  return { kind: 'forwarded', list, endpoints };
}

/** Returns the shares by `address:port`, without endpoints whose weight is 0. */
export function sharesOf(endpoints: readonly PlanEndpoint[]): ReadonlyMap<string, number> {
  const all = endpoints.reduce((sum, { weight = 1 }) => sum + weight, 0);
  return new Map(
    endpoints.filter(takesNew).map(({ address, port, weight = 1 }) => [joinHostPort(address, port), weight / all]),
  );
}

export interface Asked {
  readonly kernel: TracedKernel;
  readonly protocol: ProtocolName;
  readonly address: string;
  readonly port: number;
}

/** @param remembers whether the next connections of the client are traced too. */
export function observeWay(
  { kernel, protocol, address, port }: Asked,
  { address: source, device }: Pick<Source, 'address' | 'device'>,
  remembers: boolean,
  onSource?: MatchContext['onSource'],
): ObservedWay {
  const connection = { protocol, source, destination: address, port, device };
  const outcomes = kernel.trace(connection, onSource);
  const endpoints = new Map<string, EndpointShare>();
  const affinitySeconds = new Set<number>();
  let lost = 0;
  for (const outcome of outcomes) {
    if (outcome.kind !== 'forwarded') {
      lost += outcome.probability;
      continue;
    }
    const to = joinHostPort(outcome.address, outcome.port);
    const before = endpoints.get(to);
    endpoints.set(to, {
      share: (before?.share ?? 0) + outcome.probability,
      isMasqueraded: outcome.isMasqueraded && before?.isMasqueraded !== false,
    });
    if (remembers || outcome.recent.size > 0) affinitySeconds.add(rememberedSeconds(kernel, connection, outcome));
  }
  const [first] = outcomes;
  const kind = outcomes.some((outcome) => outcome.kind === 'unknown')
    ? 'unknown'
    : endpoints.size > 0
      ? 'forwarded'
      : unservedKind(first);
  return { kind, endpoints, lost: endpoints.size > 0 ? lost : 0, affinitySeconds, rules: first?.rules ?? [] };
}

function unservedKind(outcome: Outcome | undefined): Unserved {
  return outcome?.kind === 'refused' || outcome?.kind === 'dropped' ? outcome.kind : 'untouched';
}

/** Returns for how long a client that reached this endpoint will reach it again. 0 if it will not, or not always. */
function rememberedSeconds(kernel: TracedKernel, connection: Connection, { address, port, recent }: Outcome): number {
  const next = kernel.trace({ ...connection, recent });
  const comesBack = next.every((one) => one.address === address && one.port === port);
  return comesBack ? Math.min(...next.map((one) => one.rememberedSeconds)) : 0;
}
