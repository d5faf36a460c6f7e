/** Which source connects to which VIP in the demo, and what the Plan says must happen. */
import { cidrContains, type Family, joinHostPort, parseCidr } from '../../src/model/address';
import type { Protocol } from '../../src/model/protocol';
import {
  type Frontend,
  type FrontendKind,
  type Plan,
  type PlanEndpoint,
  type ServicePortPlan,
  servicePortName,
} from '../../src/planner/plan';
import { summarizeAnswers } from '../../test/conformance/scenario';
import { addresses, places } from '../../test/support/lab/topology';
import type { Answer } from '../../test/support/prober';

export const sources = ['c', 'node', 'ext'] as const;
export type Source = (typeof sources)[number];

export interface Planned {
  readonly outcome: 'ok' | 'refused' | 'timeout';
  /** The backends as `pod:port`. All of them must be reached, or one of them with session affinity. */
  readonly backends: readonly string[];
  /** Why there should be no answer. */
  readonly why?: string;
}

export interface Row {
  readonly kind: FrontendKind;
  readonly portName: string;
  readonly address: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly from: Source;
  readonly planned: Planned;
  readonly affinity: boolean;
}

export interface AskedRow extends Row {
  readonly answers: readonly Answer[];
}

function placeOf(address: string): string {
  return places.find((place) => Object.values(addresses[place]).includes(address)) ?? address;
}

function planned(frontend: Frontend, port: ServicePortPlan, from: Source, family: Family): Planned {
  const { verdict, sourceRanges } = frontend;
  if (verdict.kind === 'reject') return { outcome: 'refused', backends: [], why: verdict.why };
  const allowed = (range: string): boolean => {
    const cidr = parseCidr(range);
    return cidr !== undefined && cidrContains(cidr, addresses[from][family]);
  };
  if (sourceRanges?.some(allowed) === false)
    return { outcome: 'timeout', backends: [], why: 'not in its source ranges' };
  const all = frontend.localSourcesToCluster && from !== 'ext';
  if (!all && verdict.kind === 'drop') return { outcome: 'timeout', backends: [], why: verdict.why };
  const local = !all && verdict.kind === 'forward' && verdict.endpoints === 'local';
  const list: readonly PlanEndpoint[] = local ? port.localEndpoints : port.clusterEndpoints;
  return { outcome: 'ok', backends: list.map((endpoint) => `${placeOf(endpoint.address)}:${endpoint.port}`).sort() };
}

/** Returns one row for each frontend of a Service in this family, and each source. */
export function planRows(plan: Plan, ports: readonly ServicePortPlan[]): Row[] {
  return ports.flatMap((port) =>
    port.frontends.flatMap((frontend) =>
      sources.map((from) => ({
        kind: frontend.kind,
        portName: servicePortName(port),
        address: frontend.kind === 'NodePort' ? addresses.node[plan.family] : frontend.address,
        port: frontend.port,
        protocol: port.protocol,
        from,
        planned: planned(frontend, port, from, plan.family),
        affinity: port.affinitySeconds > 0,
      })),
    ),
  );
}

export function asPlanned({ planned: { outcome, backends }, affinity, answers }: AskedRow): boolean {
  const seen = summarizeAnswers(answers);
  if (seen.outcome !== outcome) return false;
  const reached = seen.backends ?? [];
  const enough = affinity ? Math.min(1, backends.length) : backends.length;
  return reached.length >= enough && reached.every((backend) => backends.includes(backend));
}

const placeNames: Readonly<Record<Source, string>> = { c: 'pod c', node: 'node', ext: 'outside' };

/** `a 35%  b 33%  d 32%`, in the order of names. */
function printShares(answers: readonly Answer[]): string {
  const counts = new Map<string, number>();
  for (const answer of answers) if (answer.outcome === 'ok') counts.set(answer.pod, (counts.get(answer.pod) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([pod, count]) => `${pod} ${Math.round((100 * count) / answers.length)}%`)
    .join('  ');
}

/** Returns the cells of a row: kind, VIP, from, outcome, pods, sources. */
export function printCells(row: AskedRow): string[] {
  const { outcome, sources: seen = [] } = summarizeAnswers(row.answers);
  const outcomes = typeof outcome === 'string' ? outcome : (outcome ?? []).join(', ');
  return [
    row.kind,
    `${joinHostPort(row.address, row.port)}/${row.protocol}`,
    placeNames[row.from],
    outcomes === 'timeout' ? 'no answer' : outcomes,
    row.planned.why !== undefined && asPlanned(row) ? `(${row.planned.why})` : printShares(row.answers),
    seen.join(', '),
  ];
}
