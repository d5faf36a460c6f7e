/** The nft or the legacy iptables: rules in both would all apply, so a node has to use one. */
import type { SavedTables } from './parse-save';

export type Variant = 'nft' | 'legacy';
export const variants: readonly Variant[] = ['nft', 'legacy'];

/** What a variant's iptables-save showed; undefined where its tools or its kernel part are missing. */
export type SavedByVariant = Readonly<Record<Variant, SavedTables | undefined>>;

/**
 * The variant that the kubelet uses; else the one with more KUBE- chains, else with more rules; else the one that the command
 * `iptables` stands for on this machine. undefined: neither works.
 */
export function chooseVariant(saved: SavedByVariant, ofPlainCommand: Variant | undefined): Variant | undefined {
  const usable = variants.filter((variant) => saved[variant] !== undefined);
  if (usable.length < 2) return usable[0];
  const measures: ((tables: SavedTables) => number)[] = [
    (tables) => Math.min(tables.kubeletChains, 1),
    (tables) => tables.chains.nat.size + tables.chains.filter.size,
    (tables) => tables.foreignRules,
  ];
  for (const measure of measures) {
    const [nft, legacy] = variants.map((variant) => (saved[variant] ? measure(saved[variant]) : 0)) as [number, number];
    if (nft !== legacy) return nft > legacy ? 'nft' : 'legacy';
  }
  return ofPlainCommand ?? 'nft';
}

/** `iptables v1.8.9 (nf_tables)`, `iptables v1.8.9 (legacy)`; before 1.8 there was no word, and legacy alone. */
export function parseVersion(text: string): { variant: Variant; version: string } | undefined {
  const match = /v(\d+(?:\.\d+)+)(?: \((\w+)\))?/.exec(text);
  if (match?.[1] === undefined) return undefined;
  return { version: match[1], variant: match[2] === 'nf_tables' ? 'nft' : 'legacy' };
}
