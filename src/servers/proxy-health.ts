import { families, type Family } from '../model/address';
import type { Node } from '../model/cluster';

interface FamilyHealth {
  readonly lastUpdatedMs: number;
  readonly healthy: boolean;
}

export interface Health {
  readonly healthy: boolean;
  /** The newest update of all families. undefined before the first update. */
  readonly lastUpdatedMs: number | undefined;
  /** Families that were updated at least once. */
  readonly families: Readonly<Partial<Record<Family, FamilyHealth>>>;
}

/**
 * Tells whether the rules follow the cluster. A family is unhealthy when an update has been waiting for too long. While no update
 * waits, it stays healthy for ever. All times are times of Clock.now.
 */
export class ProxyHealth {
  readonly #oldestQueuedMs = new Map<Family, number>();
  readonly #lastUpdatedMs = new Map<Family, number>();
  #eligible = false;

  readonly #staleAfterMs: () => number;

  /** @param staleAfterMs returns how long an update may wait at present: in kube-proxy twice the sync period. */
  constructor(staleAfterMs: () => number) {
    this.#staleAfterMs = staleAfterMs;
  }

  queuedUpdate(family: Family, nowMs: number): void {
    if (!this.#oldestQueuedMs.has(family)) this.#oldestQueuedMs.set(family, nowMs);
  }

  /** To be called when everything that was queued is in force, and once when a family's loop starts, before its first sync. */
  updated(family: Family, nowMs: number): void {
    this.#oldestQueuedMs.delete(family);
    this.#lastUpdatedMs.set(family, nowMs);
  }

  /** Sets the cluster's state of this node. undefined when it is not known. */
  setNode(node: Pick<Node, 'leaving'> | undefined): void {
    this.#eligible = node !== undefined && !node.leaving;
  }

  /** Whether load balancers may send new connections to this node. */
  nodeEligible(): boolean {
    return this.#eligible;
  }

  health(nowMs: number): Health {
    const status: Partial<Record<Family, FamilyHealth>> = {};
    for (const family of families) {
      const lastUpdatedMs = this.#lastUpdatedMs.get(family);
      if (lastUpdatedMs === undefined) continue;
      const queuedMs = this.#oldestQueuedMs.get(family);
      status[family] = { lastUpdatedMs, healthy: queuedMs === undefined || nowMs - queuedMs < this.#staleAfterMs() };
    }
    return {
      healthy: Object.values(status).every(({ healthy }) => healthy),
      lastUpdatedMs: this.#lastUpdatedMs.size === 0 ? undefined : Math.max(...this.#lastUpdatedMs.values()),
      families: status,
    };
  }
}
