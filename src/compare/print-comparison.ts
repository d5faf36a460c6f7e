/** Prints a comparison, for people and for programs. */
import type { Family } from '../model/address';
import type { TracedMode } from '../trace/rules-kind';
import { printUnread, type UnreadTable } from './parse-kernel';
import { plural } from './compare-ways';
import type { Comparison, Difference, Undecided } from './difference';
import { printSpans, type Source } from './sources';

export interface ComparedNode {
  readonly family: Family;
  /** '' if it is unknown. */
  readonly nodeName: string;
  readonly mode: TracedMode;
  /** False if the iptables rules were not given. Masquerading and source ranges were then not compared. */
  readonly hasRules: boolean;
  readonly comparison: Comparison;
  /** The tables that could not be read in full. */
  readonly unread: readonly UnreadTable[];
}

/** The first line is the result. The others say where the differences are. */
export function printComparison(node: ComparedNode): string {
  const { differences, undecided } = node.comparison;
  const [known, unknown] = [differences.filter(isKnown), differences.filter((one) => !isKnown(one))];
  return [
    headline(node, unknown, known.length),
    ...node.unread.map((table) => printUnread(node.family, table)),
    ...(node.hasRules ? [] : ['not compared: masquerading, source ranges and health check ports (no --iptables-save)']),
    ...byFrontend(unknown).flatMap(([service, frontends]) => ['', service, ...frontends.flatMap(printFrontend)]),
    ...printUndecided(undecided),
    ...printKnown(known),
    '',
  ].join('\n');
}

function isKnown({ known }: Difference): boolean {
  return known !== undefined;
}

function headline(
  { family, nodeName, mode, comparison }: ComparedNode,
  unknown: readonly Difference[],
  known: number,
): string {
  const { services, frontends, undecided } = comparison;
  const where = `${family}, ${nodeName === '' ? 'a node without pods' : `node ${nodeName}`}, ${mode} mode`;
  const size = `${plural(services, 'service')}, ${plural(frontends, 'frontend')}`;
  const different = new Set(unknown.map(({ service, frontend }) => `${service} ${frontend}`)).size;
  const verdicts = [
    different > 0
      ? `${plural(different, 'frontend')} different`
      : undecided.length > 0
        ? 'no difference seen'
        : 'the same',
    ...(undecided.length > 0 ? [`${undecided.length} could not be compared`] : []),
    ...(known > 0 ? ['known and intended differences below'] : []),
  ];
  return `${where}: ${size}: ${verdicts.join('; ')}`;
}

/** Groups the differences by Service and frontend, in the order in which they come. */
function byFrontend(differences: readonly Difference[]): [string, [string, Difference[]][]][] {
  const services = new Map<string, Map<string, Difference[]>>();
  for (const difference of differences) {
    const name = difference.service === '' ? 'without a Service' : difference.service;
    const frontends = services.get(name) ?? new Map<string, Difference[]>();
    services.set(name, frontends);
    frontends.set(difference.frontend, [...(frontends.get(difference.frontend) ?? []), difference]);
  }
  return [...services].map(([service, frontends]) => [service, [...frontends]]);
}

function printFrontend([frontend, differences]: [string, readonly Difference[]]): string[] {
  const rows = differences.map((one) => [`${one.aspect} ${one.change}`, describeDifference(one)] as const);
  const width = Math.max(...rows.map(([what]) => what.length));
  return [`  ${frontend}`, ...rows.map(([what, text]) => `    ${what.padEnd(width)}  ${text}`.trimEnd())];
}

function describeDifference(difference: Difference): string {
  const { expected, observed } = difference;
  const what = expected !== '' && observed !== '' ? `${observed}, should be ${expected}` : `${observed}${expected}`;
  const who = describeSources(difference);
  return [what, who].filter((part) => part !== '').join('  ');
}

const kindWords = { pods: "this node's pods", node: 'this node', outside: 'outside' } as const;

/** Returns `from this node's pods, from 10.0.0.0/8`, or '' for all sources. */
function describeSources({ sources, tried }: Pick<Difference, 'sources' | 'tried'>): string {
  if (sources.length === 0 || sources.length === tried.length) return '';
  return namesOf(sources, tried)
    .map((name) => `from ${name}`)
    .join(', ');
}

function namesOf(sources: readonly Source[], tried: readonly Source[]): string[] {
  return (['pods', 'node', 'outside'] as const).flatMap((kind) => {
    const some = sources.filter((source) => source.kind === kind);
    if (some.length === 0) return [];
    if (some.length === tried.filter((source) => source.kind === kind).length) return [kindWords[kind]];
    return printSpans(some.flatMap(({ span }) => span ?? []));
  });
}

function printUndecided(undecided: readonly Undecided[]): string[] {
  if (undecided.length === 0) return [];
  const lines = undecided.map(({ service, frontend, rule }) => {
    const by = rule === undefined ? '' : `  ${rule.table} ${rule.chain} ${rule.text}`;
    return `  ${service}  ${frontend}${by}`;
  });
  return ['', 'could not be compared: a rule on the way to it is not understood', ...lines];
}

function printKnown(differences: readonly Difference[]): string[] {
  const reasons = new Map<string, Set<string>>();
  for (const { known, service, frontend } of differences) {
    if (known === undefined) continue;
    const issues = known.issues.map((issue) => `#${issue}`).join(', ');
    const reason = `${known.why}${issues === '' ? '' : ` (kubernetes ${issues})`}`;
    reasons.set(reason, (reasons.get(reason) ?? new Set()).add(`    ${service}  ${frontend}`));
  }
  if (reasons.size === 0) return [];
  return ['', 'known and intended', ...[...reasons].flatMap(([reason, where]) => [`  ${reason}`, ...where])];
}

/** Returns what --output json prints. */
export function comparisonJson({ family, nodeName, mode, hasRules, comparison, unread }: ComparedNode): unknown {
  const { services, frontends, differences, undecided } = comparison;
  return {
    family,
    node: nodeName,
    mode,
    hasRules,
    unread,
    services,
    frontends,
    differences: differences.map(({ sources, tried, ...rest }) => ({ ...rest, from: namesOf(sources, tried) })),
    undecided,
  };
}

/** Returns 0 if there are only known and intended differences, 1 if there are others, 2 if not everything could be compared. */
export function comparisonExitCode(nodes: readonly ComparedNode[]): 0 | 1 | 2 {
  if (nodes.some(({ comparison }) => comparison.differences.some((one) => !isKnown(one)))) return 1;
  const isOpen = nodes.some(
    ({ comparison, unread }) => comparison.undecided.length > 0 || unread.some(({ isKnown }) => !isKnown),
  );
  return isOpen ? 2 : 0;
}
