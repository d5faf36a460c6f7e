/**
 * Compares the rules of iptables mode. To detect edits by somebody else, the rules are parsed back into the Plan for which they were
 * written, and that Plan is rendered again: rules of any earlier state come out the same.
 */
import { markMasquerade } from '../xtables/common-rules';
import type { IptablesSettings } from '../backends/iptables/settings';
import { ownerOfRule, parsePlan } from '../backends/iptables/parse-plan';
import { RuleSet } from '../backends/iptables/desired-state';
import type { ServiceKey } from '../model/cluster';
import { UserError } from '../model/user-error';
import { type Plan, servicePortName } from '../planner/plan';
import { canaryRule, ownTables, parseServiceChain, sharedChain, targetChain } from '../xtables/known-chains';
import type { SavedTables } from '../xtables/parse-save';
import { type Jump, type TableName, tableNames } from '../xtables/rules';
import type { UnreadTable } from '../xtables/save-text';
import { joinPlaces, type KernelDiff, type PlaceDiff } from './kernel-diff';
import { diffLines, type Line } from './line-diff';

interface Compared {
  readonly saved: SavedTables;
  readonly desired: RuleSet;
  /** The Plan for which the rules in the kernel were written, rendered again. */
  readonly restored: RuleSet;
  /** The Plan for which the rules in the kernel were written. */
  readonly past: Plan;
  readonly ownerOf: (chain: string) => string | undefined;
  /** The tables that somebody flushed. */
  readonly flushed: ReadonlySet<TableName>;
}

/** The rules that iptables-save showed, and the tables that it did not show in full. */
export interface SeenRules {
  readonly saved: SavedTables;
  readonly unread: readonly UnreadTable[];
}

/** Returns the tables whose rules are known. */
export function knownTables(unread: readonly UnreadTable[]): readonly TableName[] {
  return tableNames.filter((name) => !unread.some(({ table, isKnown }) => table === name && !isKnown));
}

/** Throws UserError if kube-proxy wrote the rules. */
export function diffIptables(
  plan: Plan,
  { saved, unread }: SeenRules,
  settings: IptablesSettings,
  nodeName: string,
): KernelDiff {
  if (isKubeProxys(saved))
    throw new UserError(
      `kube-proxy wrote these rules (${plan.family}), in its own layout: use vipwire compare to see what they do`,
    );
  const desired = new RuleSet(plan.family, settings);
  desired.render(plan);
  const past = parsePlan(saved.chains, plan.family, plan.settings, (key) => isWeighted(plan, key));
  const restored = new RuleSet(plan.family, settings);
  restored.render(past);
  const owners = new Map<string, string>();
  for (const [rules, { services }] of [[restored, past] as const, [desired, plan] as const])
    for (const key of services.keys()) for (const chain of rules.chainsOf(key)) owners.set(chain, key);
  const flushed = new Set(ownTables.filter((table) => !hasCanary(saved, table)));
  const compared = { saved, desired, restored, past, flushed, ownerOf: (chain: string) => owners.get(chain) };
  const places = [
    ...knownTables(unread).flatMap((table) => withoutMoved(diffTable(table, compared))),
    ...diffJumps(saved.jumps, desired.jumps, knownTables(unread)),
  ];
  const { family, services } = plan;
  return { family, mode: 'iptables', nodeName, services: services.size, unread, differences: joinPlaces(places) };
}

/** Whether the Service has weights now. Of a Service that is gone this is unknown, so it returns true. */
function isWeighted({ services }: Plan, key: ServiceKey): boolean {
  const service = services.get(key);
  if (service === undefined) return true;
  return service.ports.some(({ clusterEndpoints, localEndpoints }) =>
    [...clusterEndpoints, ...localEndpoints].some(({ weight }) => weight !== undefined),
  );
}

function hasCanary({ chains }: SavedTables, table: TableName): boolean {
  return chains[table].get('KUBE-PROXY-CANARY')?.endsWith(canaryRule) === true;
}

/** kube-proxy has one chain per endpoint, and no rule in its canaries. */
function isKubeProxys(saved: SavedTables): boolean {
  const hasEndpointChains = [...saved.chains.nat].some(
    ([chain, text]) => parseServiceChain(chain)?.kind === 'SEP' && text.includes(markMasquerade),
  );
  return hasEndpointChains && !hasCanary(saved, 'nat');
}

function diffTable(table: TableName, compared: Compared): PlaceDiff[] {
  const { saved, desired, restored } = compared;
  const [seen, wanted, past] = [saved.chains[table], desired.tables[table], restored.tables[table]];
  const names = new Set([...seen.keys(), ...[...wanted.desiredEntries()].map(([chain]) => chain)]);
  return [...names].sort().flatMap((chain) => {
    const [before, after] = [seen.get(chain), wanted.getDesired(chain)];
    if (before === after || isLeftAlone(chain, before, after, saved)) return [];
    return diffChain(table, chain, { before, after, past: past.getDesired(chain) }, compared);
  });
}

/**
 * Leaves out rules that are only in another chain than they should be: the shape of a dispatch tree depends on all Services, so that is
 * not a difference of the rule's Service.
 */
function withoutMoved(places: readonly PlaceDiff[]): PlaceDiff[] {
  const counts = new Map<string, number>();
  const keyOf = (service: string, { text }: Line): string => `${service} ${text}`;
  for (const { service, hunk, foreign } of places)
    if (service !== '' && foreign === undefined)
      for (const line of changed(hunk.lines)) {
        const key = keyOf(service, line);
        counts.set(key, (counts.get(key) ?? 0) + (line.sign === '+' ? 1 : -1));
      }
  return places.flatMap((place) => {
    const { service, hunk, foreign } = place;
    if (service === '' || foreign !== undefined) return [place];
    const lines = hunk.lines.filter((line) => line.sign === ' ' || counts.get(keyOf(service, line)) !== 0);
    return changed(lines).length === 0 && hunk.lines.length > 0 ? [] : [{ ...place, hunk: { ...hunk, lines } }];
  });
}

/** vipwire does not remove the chain that it shares with the kubelet, nor an emptied chain to which others jump. */
function isLeftAlone(
  chain: string,
  before: string | undefined,
  after: string | undefined,
  { usedByOthers }: SavedTables,
): boolean {
  return after === undefined && (chain === sharedChain || (before === '' && usedByOthers.has(chain)));
}

interface Texts {
  readonly before: string | undefined;
  readonly after: string | undefined;
  readonly past: string | undefined;
}

function diffChain(table: TableName, chain: string, texts: Texts, compared: Compared): PlaceDiff[] {
  const place = `${table} ${chain}`;
  const lines = diffLines(linesOf(texts.before), linesOf(texts.after));
  const foreign = compared.flushed.has(table)
    ? [describeFlush(table, compared.saved)]
    : [...findForeign(place, texts, lines), ...findUnled(lines, compared)];
  const owner = compared.ownerOf(chain);
  if (owner !== undefined) return [{ service: owner, hunk: hunkOf(place, lines), foreign: orUndefined(foreign) }];
  const owners = new Set(changed(lines).map(({ text }) => serviceOfRule(text)));
  if (owners.size === 0) owners.add('');
  return [...owners].map((service) => ({
    service,
    hunk: hunkOf(
      place,
      changed(lines).filter(({ text }) => serviceOfRule(text) === service),
    ),
    // In a dispatch chain, a Service without foreign rules is stale.
    foreign: orUndefined(foreign.filter((evidence) => isAbout(evidence, service))),
  }));
}

function describeFlush(table: TableName, { chains }: SavedTables): string {
  if (chains[table].size === 0) return `${table} has no chains of vipwire: it was flushed, or never written`;
  return `${table} was flushed: the rule that shows it is gone`;
}

function serviceOfRule(line: string): string {
  return ownerOfRule(line)?.replace(/:.*/, '') ?? '';
}

function orUndefined(evidence: readonly string[]): readonly string[] | undefined {
  return evidence.length === 0 ? undefined : evidence;
}

/**
 * Finds missing rules whose Service's chains are there. vipwire writes these chains before the rules that lead to them and removes
 * them after those, so somebody else removed such a rule.
 */
function findUnled(lines: readonly Line[], { saved, restored, past }: Compared): string[] {
  return lines.flatMap(({ sign, text }) => {
    // Every service port has a cluster IP, so one that others lead to without a rule for it was edited.
    if (sign === '+' && / cluster IP" /.test(text) && isHeadless(past, ownerOfRule(text)))
      return [`removed, although other rules lead to the same Service: ${text}`];
    const to = targetChain(text) ?? '';
    const { kind = 'SEP' } = parseServiceChain(to) ?? {};
    const isUnled =
      sign === '+' && kind !== 'SEP' && saved.chains.nat.has(to) && restored.tables.nat.getDesired(to) === undefined;
    return isUnled ? [`removed, although ${to} is there: ${text}`] : [];
  });
}

/** Evidence that quotes a rule is about the rule's Service only. */
function isAbout(evidence: string, service: string): boolean {
  const at = evidence.indexOf('-A ');
  return at < 0 || serviceOfRule(evidence.slice(at)) === service;
}

function changed(lines: readonly Line[]): readonly Line[] {
  return lines.filter(({ sign }) => sign !== ' ');
}

/**
 * Finds what was added or removed in a chain that no state of the Services would have given. If lines were only added or only removed
 * compared with what the chain should be, these are the ones; otherwise it is compared with `past`, which is nearest to it.
 *
 * @param lines the difference between what is there and what should be.
 */
function findForeign(place: string, { before, after, past }: Texts, lines: readonly Line[]): string[] {
  if (before === past) return [];
  if (before === undefined) return after === undefined ? [] : [`${place} was removed`];
  const toAfter = changed(lines);
  const isPlain = after !== undefined && new Set(toAfter.map(({ sign }) => sign)).size === 1;
  const found = isPlain ? toAfter : changed(diffLines(linesOf(before), linesOf(past)));
  return found.map(({ sign, text }) => (sign === '-' ? `added: ${text}` : `removed: ${text}`));
}

function linesOf(text: string | undefined): string[] {
  return text === undefined || text === '' ? [] : text.split('\n');
}

function isHeadless({ services }: Plan, name: string | undefined): boolean {
  return [...services.values()].some(({ ports }) =>
    ports.some((port) => servicePortName(port) === name && !port.frontends.some(({ kind }) => kind === 'ClusterIP')),
  );
}

function hunkOf(place: string, lines: readonly Line[]): PlaceDiff['hunk'] {
  return { place, lines: lines.map(({ sign, text }) => ({ sign, text: text.replace(/^-A \S+ /, '') })) };
}

/** Jumps are written at every start and never changed, so each difference is somebody else's. */
export function diffJumps(
  seen: readonly Jump[],
  allWanted: readonly Jump[],
  tables: readonly TableName[] = tableNames,
): PlaceDiff[] {
  const wanted = allWanted.filter(({ table }) => tables.includes(table));
  const keyOf = ({ table, from, rule }: Jump): string => `${table} ${from} ${rule}`;
  const describe = (sign: '-' | '+', { table, from, rule }: Jump): PlaceDiff => ({
    service: '',
    hunk: { place: `${table} ${from}`, lines: [{ sign, text: rule }] },
    foreign: [
      sign === '+'
        ? `the jump from ${table} ${from} was removed`
        : `a jump from ${table} ${from} does not belong to this mode`,
    ],
  });
  const [seenKeys, wantedKeys] = [new Set(seen.map(keyOf)), new Set(wanted.map(keyOf))];
  return [
    ...wanted.filter((jump) => !seenKeys.has(keyOf(jump))).map((jump) => describe('+', jump)),
    ...seen
      .filter((jump) => !wantedKeys.has(keyOf(jump)) && !jump.rule.endsWith(`-j ${sharedChain}`))
      .map((jump) => describe('-', jump)),
  ];
}
