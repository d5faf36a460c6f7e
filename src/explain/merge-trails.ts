import type { MatchedRule, Outcome } from '../trace/packet';

export interface ShownRule extends MatchedRule {
  /** The share of new connections that it matches, 0 to 1. */
  readonly share: number;
}

/** Merges the rules of all outcomes into one list that has each rule once, in an order that is right for each outcome. */
export function mergeTrails(outcomes: readonly Outcome[]): ShownRule[] {
  const list: (MatchedRule & { share: number })[] = [];
  for (const { rules, probability } of outcomes) {
    let at = 0;
    for (const rule of rules) {
      const found = list.findIndex(
        (one, i) => i >= at && one.table === rule.table && one.chain === rule.chain && one.text === rule.text,
      );
      if (found < 0) list.splice(at, 0, { ...rule, share: probability });
      else (list[found] ?? { share: 0 }).share += probability;
      at = found < 0 ? at + 1 : found + 1;
    }
  }
  return list;
}
