/** Compares one source's way to a frontend by the Plan with the way that was observed. */
import type { Frontend, ServicePortPlan } from '../planner/plan';
import type { RulesKind } from '../trace/rules-kind';
import type { Finding } from './difference';
import type { Source } from './sources';
import { type EndpointShare, type ExpectedWay, type ObservedWay, sharesOf } from './ways';

export interface WayContext {
  readonly rules: RulesKind;
  readonly port: ServicePortPlan;
  readonly frontend: Frontend;
  readonly source: Source;
  /** Whether any source outside is served here. */
  readonly servesOutside: boolean;
}

/** How far any share may be off, relative to itself: probabilities have steps of 2^-31, which add up over a long list. */
const tolerance = 1e-3;

export function compareWays(context: WayContext, expected: ExpectedWay, observed: ObservedWay): Finding[] {
  if (observed.kind === 'unknown') return [];
  if (expected.kind !== 'forwarded')
    return observed.kind === 'forwarded'
      ? forwardedAgainstPlan(context, expected, observed)
      : compareUnserved(context, expected, observed);
  if (observed.kind !== 'forwarded') return [notForwarded(context, observed)];
  return [
    ...compareEndpoints(context, expected, observed),
    ...compareMasquerade(context.source, expected, observed),
    ...compareAffinity(context.port.affinitySeconds, observed.affinitySeconds),
  ];
}

function forwardedAgainstPlan({ port }: WayContext, { kind, why }: ExpectedWay, { endpoints }: ObservedWay): Finding[] {
  const count = plural(endpoints.size, 'endpoint');
  if (why === 'source ranges')
    return [{ aspect: 'source ranges', change: 'extra', expected: 'dropped', observed: 'let in' }];
  const expected = why === undefined ? kind : `${kind}: ${why}`;
  if (why === 'no local endpoints' && sameKeys(endpoints, sharesOf(port.clusterEndpoints)))
    return [{ aspect: 'policy', change: 'changed', expected, observed: `the cluster's ${count}` }];
  const extra = [...endpoints.keys()].map((text): Finding => extraEndpoint(text, endpoints.get(text)));
  return [{ aspect: 'verdict', change: 'changed', expected, observed: `forwarded to ${count}` }, ...extra];
}

/** Compares two ways in which nothing is forwarded. Some of them are equivalent in some modes. */
function compareUnserved(
  { rules, frontend, source }: WayContext,
  expected: ExpectedWay,
  observed: ObservedWay,
): Finding[] {
  if (expected.kind === observed.kind) return [];
  // In iptables mode kube-proxy does not filter the node's own packets, and neither does vipwire.
  if (source.kind === 'node' && (frontend.kind === 'ExternalIP' || frontend.kind === 'LoadBalancer')) return [];
  const isUntouched = observed.kind === 'untouched';
  // IPVS refuses if there are no endpoints, and without endpoints it does not matter who is let in.
  if (
    !isUntouched &&
    (rules.refusesUnserved || (frontend.sourceRanges !== undefined && expected.why === 'no endpoints'))
  )
    return [];
  const why = expected.why === undefined ? '' : `: ${expected.why}`;
  const what = { expected: `${expected.kind}${why}`, observed: observed.kind };
  return [{ aspect: 'verdict', change: isUntouched ? 'missing' : 'changed', ...what }];
}

function notForwarded({ frontend, servesOutside, source }: WayContext, { kind }: ObservedWay): Finding {
  const isRange =
    kind === 'dropped' && (frontend.sourceRanges !== undefined || (servesOutside && source.kind !== 'node'));
  if (isRange) return { aspect: 'source ranges', change: 'missing', expected: 'let in', observed: 'dropped' };
  const change = kind === 'untouched' ? 'missing' : 'changed';
  return { aspect: 'verdict', change, expected: 'forwarded', observed: kind };
}

function compareEndpoints(context: WayContext, expected: ExpectedWay, observed: ObservedWay): Finding[] {
  const { port } = context;
  const findings: Finding[] = [];
  const other = sharesOf(expected.list === 'cluster' ? port.localEndpoints : port.clusterEndpoints);
  const isSame = sameKeys(observed.endpoints, expected.endpoints);
  if (!isSame && sameKeys(observed.endpoints, other)) {
    const [wanted, found] = expected.list === 'cluster' ? ['cluster', 'here'] : ['here', 'cluster'];
    findings.push({
      aspect: 'policy',
      change: 'changed',
      expected: describeList(wanted, expected.endpoints.size),
      observed: describeList(found, observed.endpoints.size),
    });
  } else {
    for (const [text, { share }] of expected.endpoints)
      if (!observed.endpoints.has(text))
        findings.push({
          aspect: 'endpoint',
          change: 'missing',
          expected: `${text} should get ${percent(share)}`,
          observed: '',
        });
    for (const [text, share] of observed.endpoints)
      if (!expected.endpoints.has(text)) findings.push(extraEndpoint(text, share));
  }
  if (isSame) findings.push(...compareShares(context, expected.endpoints, observed.endpoints));
  if (observed.lost > tolerance)
    findings.push({
      aspect: 'share',
      change: 'missing',
      expected: '',
      observed: `${percent(observed.lost)} reach nobody`,
    });
  return findings;
}

function describeList(where: string, count: number): string {
  return where === 'here' ? `the ${plural(count, 'endpoint')} here` : `the cluster's ${plural(count, 'endpoint')}`;
}

function extraEndpoint(text: string, share: EndpointShare | undefined): Finding {
  return { aspect: 'endpoint', change: 'extra', expected: '', observed: `${text} gets ${percent(share?.share ?? 0)}` };
}

function compareShares(
  { rules, port }: WayContext,
  expected: ReadonlyMap<string, EndpointShare>,
  observed: ReadonlyMap<string, EndpointShare>,
): Finding[] {
  const isRounded = port.scheduler !== undefined || port.clusterEndpoints.some(({ weight }) => weight !== undefined);
  const allowed = isRounded ? rules.shareTolerance : 0;
  return [...expected].flatMap(([text, { share }]) => {
    const found = observed.get(text)?.share ?? 0;
    if (Math.abs(found - share) <= Math.max(share * tolerance, allowed)) return [];
    const what = { expected: percent(share), observed: `${text} gets ${percent(found)}` };
    return [{ aspect: 'share', change: 'changed', ...what } as const];
  });
}

function compareMasquerade({ kind }: Source, wanted: ExpectedWay, seen: ObservedWay): Finding[] {
  const wrong = [...seen.endpoints].filter(([text, { isMasqueraded }]) => {
    const one = wanted.endpoints.get(text) ?? [...wanted.endpoints.values()][0];
    // A connection from the node to itself has an address of the node as its source, masqueraded or not.
    if (one === undefined || (kind === 'node' && one.isAtNode)) return false;
    return isMasqueraded !== one.isMasqueraded;
  });
  const [first] = wrong;
  if (first === undefined) return [];
  const to = wrong.length === seen.endpoints.size ? '' : ` by ${wrong.map(([text]) => text).join(', ')}`;
  const [change, expected, observed] = first[1].isMasqueraded
    ? (['extra', 'client', 'node'] as const)
    : (['missing', 'node', 'client'] as const);
  return [
    { aspect: 'masquerade', change, expected: `the ${expected}'s`, observed: `the ${observed}'s address is seen${to}` },
  ];
}

function compareAffinity(seconds: number, found: ReadonlySet<number>): Finding[] {
  // Infinity: the client's address decides, so the client is remembered as long as the endpoints stay the same.
  const observed = [...found].filter((one) => one !== Infinity);
  if (observed.every((one) => one === seconds)) return [];
  const change = seconds === 0 ? 'extra' : observed.every((one) => one === 0) ? 'missing' : 'changed';
  const describe = (of: readonly number[]): string =>
    of.map((one) => (one === 0 ? 'not remembered' : `${one} s`)).join(', ');
  return [{ aspect: 'affinity', change, expected: describe([seconds]), observed: describe(observed) }];
}

function sameKeys(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  return a.size === b.size && [...a.keys()].every((key) => b.has(key));
}

/** `33.3 %` */
function percent(share: number): string {
  return `${(share * 100).toFixed(1).replace(/\.0$/, '')} %`;
}

export function plural(count: number, word: string): string {
  return count === 1 ? `1 ${word}` : `${count} ${word}s`;
}
