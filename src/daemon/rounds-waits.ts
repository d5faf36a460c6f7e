/** Who waits for a round of every family. */
import type { Family } from '../model/address';
import type { FullReason } from '../reconciler/sync-report';

/** How a round ended: a round that went well counts for whoever waits for one of its reasons, one that failed for all. */
export type RoundEnd =
  | { readonly wentWell: true; readonly reasons: ReadonlySet<FullReason> }
  | { readonly wentWell: false };

export type AwaitedReason = Extract<FullReason, 'start' | 'settings'>;

interface Wait {
  readonly reason: AwaitedReason;
  /** Families whose round is not over. */
  readonly left: Set<Family>;
  allWentWell: boolean;
  readonly resolve: (allWentWell: boolean) => void;
}

export class RoundsWaits {
  #waits: readonly Wait[] = [];

  /** Resolves after the next round for this reason of each of these families: whether all of them went well. */
  next(reason: AwaitedReason, families: readonly Family[]): Promise<boolean> {
    return new Promise((resolve) => {
      if (families.length === 0) resolve(false);
      else this.#waits = [...this.#waits, { reason, left: new Set(families), allWentWell: true, resolve }];
    });
  }

  ended(family: Family, end: RoundEnd): void {
    for (const wait of this.#waits) {
      if (end.wentWell && !end.reasons.has(wait.reason)) continue;
      wait.left.delete(family);
      wait.allWentWell &&= end.wentWell;
      if (wait.left.size === 0) wait.resolve(wait.allWentWell);
    }
    this.#waits = this.#waits.filter(({ left }) => left.size > 0);
  }

  /** There are no more rounds. */
  giveUp(): void {
    for (const { resolve } of this.#waits) resolve(false);
    this.#waits = [];
  }
}
