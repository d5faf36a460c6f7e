/**
 * Rules of iptables mode. Whether somebody else had a hand in them is told by what they say: read back as the Plan that they
 * were written for and rendered again, rules of any earlier state are the same.
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
  /** What the rules that are there were written for, rendered again. */
  readonly restored: RuleSet;
  readonly past: Plan;
  readonly ownerOf: (chain: string) => string | undefined;
  /** Tables that somebody flushed. */
  readonly flushed: ReadonlySet<TableName>;
}

/** What iptables-save showed, and the tables that it did not show in full. */
export interface SeenRules {
  readonly saved: SavedTables;
  readonly unread: readonly UnreadTable[];
}

/** Those of which anything can be said. */
export function knownTables(unread: readonly UnreadTable[]): readonly TableName[] {
  return tableNames.filter((name) => !unread.some(({ table, isKnown }) => table === name && !isKnown));
}

/** Throws UserError where the rules are another proxy's. */
export function diffIptables(
  plan: Plan,
  { saved, unread }: SeenRules,
  settings: IptablesSettings,
  nodeName: string,
): KernelDiff {
  if (isKubeProxys(saved))
    throw new UserError(
      `these rules (${plan.family}) are kube-proxy's, in its own layout: vipwire compare says what they do`,
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

/** By what it asks for now; of one that is gone nobody knows. */
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

/** It has a chain an endpoint, and no rule in its canaries. */
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
 * The shape of a dispatch tree follows from all Services: a rule that only stands in another chain than it should is no difference of
 * its own Service.
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

/** What the kubelet shares stays where it is; an emptied chain stays where others jump to it. */
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
  const owners = new Set(changed(lines).map(({ text }) => whose(text)));
  if (owners.size === 0) owners.add('');
  return [...owners].map((service) => ({
    service,
    hunk: hunkOf(
      place,
      changed(lines).filter(({ text }) => whose(text) === service),
    ),
    // Of a dispatch chain, a Service of whose rules none is foreign is stale.
    foreign: orUndefined(foreign.filter((evidence) => isAbout(evidence, service))),
  }));
}

function describeFlush(table: TableName, { chains }: SavedTables): string {
  if (chains[table].size === 0) return `nothing of vipwire's is in ${table}: flushed with its chains, or never written`;
  return `${table} was flushed: the rule by which that is seen is gone`;
}

function whose(line: string): string {
  return ownerOfRule(line)?.replace(/:.*/, '') ?? '';
}

function orUndefined(evidence: readonly string[]): readonly string[] | undefined {
  return evidence.length === 0 ? undefined : evidence;
}

/** Chains of Services come before what leads to them, and go after it. */
function findUnled(lines: readonly Line[], { saved, restored, past }: Compared): string[] {
  return lines.flatMap(({ sign, text }) => {
    // Every service port has a cluster IP.
    if (sign === '+' && / cluster IP" /.test(text) && isHeadless(past, ownerOfRule(text)))
      return [`taken away, though others lead to the same Service: ${text}`];
    const to = targetChain(text) ?? '';
    const { kind = 'SEP' } = parseServiceChain(to) ?? {};
    const isUnled =
      sign === '+' && kind !== 'SEP' && saved.chains.nat.has(to) && restored.tables.nat.getDesired(to) === undefined;
    return isUnled ? [`taken away, though ${to} is there: ${text}`] : [];
  });
}

/** Evidence that names a rule is about whose the rule is. */
function isAbout(evidence: string, service: string): boolean {
  const at = evidence.indexOf('-A ');
  return at < 0 || whose(evidence.slice(at)) === service;
}

function changed(lines: readonly Line[]): readonly Line[] {
  return lines.filter(({ sign }) => sign !== ' ');
}

/**
 * What was added or taken away, where the chain is of no state of what the tables say. Against what it should be, where that is all
 * that differs; else against what is nearest to it. `lines` lead from what is there to what should be.
 */
function findForeign(place: string, { before, after, past }: Texts, lines: readonly Line[]): string[] {
  if (before === past) return [];
  if (before === undefined) return after === undefined ? [] : [`${place} was taken away`];
  const toAfter = changed(lines);
  const isPlain = after !== undefined && new Set(toAfter.map(({ sign }) => sign)).size === 1;
  const found = isPlain ? toAfter : changed(diffLines(linesOf(before), linesOf(past)));
  return found.map(({ sign, text }) => (sign === '-' ? `added: ${text}` : `taken away: ${text}`));
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

/** They are written at every start, and never changed. */
export function diffJumps(
  seen: readonly Jump[],
  allWanted: readonly Jump[],
  tables: readonly TableName[] = tableNames,
): PlaceDiff[] {
  const wanted = allWanted.filter(({ table }) => tables.includes(table));
  const keyOf = ({ table, from, rule }: Jump): string => `${table} ${from} ${rule}`;
  const tell = (sign: '-' | '+', { table, from, rule }: Jump): PlaceDiff => ({
    service: '',
    hunk: { place: `${table} ${from}`, lines: [{ sign, text: rule }] },
    foreign: [
      sign === '+'
        ? `the jump from ${table} ${from} was taken away`
        : `a jump from ${table} ${from} is not of this mode`,
    ],
  });
  const [seenKeys, wantedKeys] = [new Set(seen.map(keyOf)), new Set(wanted.map(keyOf))];
  return [
    ...wanted.filter((jump) => !seenKeys.has(keyOf(jump))).map((jump) => tell('+', jump)),
    ...seen
      .filter((jump) => !wantedKeys.has(keyOf(jump)) && !jump.rule.endsWith(`-j ${sharedChain}`))
      .map((jump) => tell('-', jump)),
  ];
}
