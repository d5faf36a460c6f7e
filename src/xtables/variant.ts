/** The choice between the nft and the legacy iptables. Rules in both would all apply, so a node has to use one. */
import type { Answer } from '../model/answer';
import type { SavedTables } from './parse-save';

export type Variant = 'nft' | 'legacy';
/** `auto` is the one that the machine's rules and tools point to. */
export type IptablesVariant = Variant | 'auto';
export const variants: readonly Variant[] = ['nft', 'legacy'];

/** What a variant's iptables-save showed of its tables. */
export interface VariantTables extends SavedTables {
  /** Tables with rules that only the tool `nft` can print. What else these tables hold cannot be read. */
  readonly unreadable: readonly string[];
}

/** absent: the variant's tools are not installed, or the kernel does not support them. */
export type SeenByVariant = Readonly<Record<Variant, Answer<VariantTables>>>;

export interface VariantChoice {
  readonly variant: Variant;
  /** What could not be read. undefined: the choice rests on all that can be known. */
  readonly doubt?: { readonly reason: string; readonly worthAsking: number };
}

/** How often to ask again before relying on each sign of `signOf`. The kubelet's hint is as good as all the rest. */
const asksBySign = [15, 5, 0] as const;

/**
 * Returns the variant to use, or undefined when neither is there. A variant that cannot be read may well be in use. When one
 * cannot be read, the signs in the other one count, then the command `iptables` of this machine.
 */
export function weighVariants(seen: SeenByVariant, plainCommand: Variant | undefined): VariantChoice | undefined {
  const there = variants.filter((variant) => seen[variant].kind !== 'absent');
  const [only, second] = there;
  if (only === undefined) return undefined;
  if (second === undefined) return { variant: only };
  const whole = variants.flatMap((variant) => readWhole(seen[variant]) ?? []);
  const [nft, legacy] = whole;
  if (nft !== undefined && legacy !== undefined) return { variant: compareVariants({ nft, legacy }, plainCommand) };
  const signs = { nft: signOf(seen.nft), legacy: signOf(seen.legacy) };
  const best = Math.max(signs.nft, signs.legacy);
  const reason = there.flatMap((variant) => explainUnread(variant, seen[variant]) ?? []).join('; ');
  const worthAsking = there.some((variant) => seen[variant].kind === 'unknown') ? (asksBySign[best] ?? 0) : 0;
  if (best === 0) return { variant: plainCommand ?? 'nft', doubt: { reason, worthAsking } };
  // Both have the same sign. The variant that cannot be read in full has more than can be seen.
  const unread = variants.find((variant) => readWhole(seen[variant]) === undefined) ?? 'nft';
  const variant = signs.nft === signs.legacy ? unread : signs.nft > signs.legacy ? 'nft' : 'legacy';
  return { variant, doubt: { reason, worthAsking } };
}

function readWhole(answer: Answer<VariantTables>): VariantTables | undefined {
  return answer.kind === 'found' && answer.value.unreadable.length === 0 ? answer.value : undefined;
}

/** Returns 2 for the kubelet's hint, 1 for chains of a service proxy, 0 when neither can be seen. */
function signOf(answer: Answer<VariantTables>): 0 | 1 | 2 {
  if (answer.kind !== 'found') return 0;
  const { kubeletChains, chains } = answer.value;
  if (kubeletChains > 0) return 2;
  return chains.nat.size + chains.filter.size > 0 ? 1 : 0;
}

function explainUnread(variant: Variant, answer: Answer<VariantTables>): string | undefined {
  if (answer.kind === 'unknown') return answer.reason;
  if (answer.kind === 'absent' || answer.value.unreadable.length === 0) return undefined;
  const tables = answer.value.unreadable.join(' and ');
  return `iptables-${variant}-save cannot read ${tables}: there are rules that only nft can print`;
}

/**
 * Returns the variant that the kubelet uses, else the one with more KUBE- chains, else the one with more rules, else the one that
 * the command `iptables` stands for on this machine.
 */
function compareVariants(saved: Readonly<Record<Variant, SavedTables>>, plainCommand: Variant | undefined): Variant {
  const measures: ((tables: SavedTables) => number)[] = [
    (tables) => Math.min(tables.kubeletChains, 1),
    (tables) => tables.chains.nat.size + tables.chains.filter.size,
    (tables) => tables.foreignRules,
  ];
  for (const measure of measures) {
    const [nft, legacy] = [measure(saved.nft), measure(saved.legacy)];
    if (nft !== legacy) return nft > legacy ? 'nft' : 'legacy';
  }
  return plainCommand ?? 'nft';
}

/** `iptables v1.8.9 (nf_tables)`, `iptables v1.8.9 (legacy)`. Before 1.8 there is no word in brackets: only legacy existed. */
export function parseVersion(text: string): { variant: Variant; version: string } | undefined {
  const match = /v(\d+(?:\.\d+)+)(?: \((\w+)\))?/.exec(text);
  if (match?.[1] === undefined) return undefined;
  return { version: match[1], variant: match[2] === 'nf_tables' ? 'nft' : 'legacy' };
}
