/** The weights of a Service's endpoints, at a cost that does not grow with the number of rules. */
import type { SliceEndpoint, WeightRule } from '../model/cluster';

/** One letter of the prefixes of pod names: a node of a trie. */
interface Letter {
  readonly next: Map<string, Letter>;
  /** The position in the list of the first rule whose prefix ends here. */
  rule?: number;
}

interface Lookup {
  readonly weights: readonly number[];
  readonly byAddress: ReadonlyMap<string, number>;
  readonly byNode: ReadonlyMap<string, number>;
  readonly byZone: ReadonlyMap<string, number>;
  readonly byPod: Letter;
}

/** The list of rules is the same object until its Service changes, so it is read once, and not again when endpoints change. */
const lookups = new WeakMap<readonly WeightRule[], Lookup>();
const podKind = 'Pod/';

/** Returns the weight of the first rule that fits the endpoint, or 1 if no rule does. */
export function weightOf(endpoint: SliceEndpoint, rules: readonly WeightRule[]): number {
  if (rules.length === 0) return 1;
  const { weights, byAddress, byNode, byZone, byPod } = lookupOf(rules);
  const none = rules.length;
  const first = Math.min(
    byAddress.get(endpoint.address) ?? none,
    byNode.get(endpoint.nodeName) ?? none,
    byZone.get(endpoint.zone) ?? none,
    firstPrefix(byPod, endpoint.target) ?? none,
  );
  return weights[first] ?? 1;
}

function lookupOf(rules: readonly WeightRule[]): Lookup {
  let lookup = lookups.get(rules);
  if (lookup === undefined) lookups.set(rules, (lookup = readRules(rules)));
  return lookup;
}

function readRules(rules: readonly WeightRule[]): Lookup {
  const maps = { address: new Map<string, number>(), node: new Map<string, number>(), zone: new Map<string, number>() };
  const byPod: Letter = { next: new Map() };
  for (const [place, { kind, value }] of rules.entries()) {
    if (kind === 'pod') addPrefix(byPod, value, place);
    else if (!maps[kind].has(value)) maps[kind].set(value, place);
  }
  const weights = rules.map(({ weight }) => weight);
  return { weights, byAddress: maps.address, byNode: maps.node, byZone: maps.zone, byPod };
}

function addPrefix(root: Letter, prefix: string, place: number): void {
  let at = root;
  for (const letter of prefix.split('')) {
    const next = at.next.get(letter) ?? { next: new Map<string, Letter>() };
    at.next.set(letter, next);
    at = next;
  }
  at.rule ??= place;
}

function firstPrefix(root: Letter, target: string): number | undefined {
  if (!target.startsWith(podKind)) return undefined;
  let first = root.rule;
  let at: Letter | undefined = root;
  for (let i = podKind.length; i < target.length && at !== undefined; i++) {
    at = at.next.get(target.charAt(i));
    if (at?.rule !== undefined && (first === undefined || at.rule < first)) first = at.rule;
  }
  return first;
}
