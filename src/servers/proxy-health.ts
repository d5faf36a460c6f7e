import { families } from '../model/address';
import type { Family } from '../model/address';
import type { Node } from '../model/cluster';

interface FamilyHealth {
  readonly lastUpdatedMs: number;
  readonly healthy: boolean;
}

export interface Health {
  readonly healthy: boolean;
  /** The newest of all families; undefined before the first. */
  readonly lastUpdatedMs: number | undefined;
  /** Families that were updated at least once. */
  readonly families: Readonly<Partial<Record<Family, FamilyHealth>>>;
}

/**
 * Whether rules follow the cluster: a family is ill where an update has been waiting for long, and well for ever where
 * none waits. All times are of Clock.now.
 */
export class ProxyHealth {
  private readonly oldestQueuedMs = new Map<Family, number>();
  private readonly lastUpdatedMs = new Map<Family, number>();
  private eligible = false;

  /** @param staleAfterMs how long an update may wait, as of now: twice the sync period in kube-proxy. */
  constructor(public staleAfterMs: number) {}

  queuedUpdate(family: Family, nowMs: number): void {
    if (!this.oldestQueuedMs.has(family)) this.oldestQueuedMs.set(family, nowMs);
  }

  /** Everything that was queued is in force. Also said once when a family's loop starts, before its first sync. */
  updated(family: Family, nowMs: number): void {
    this.oldestQueuedMs.delete(family);
    this.lastUpdatedMs.set(family, nowMs);
  }

  /** This node as the cluster has it; undefined: not known. */
  setNode(node: Pick<Node, 'leaving'> | undefined): void {
    this.eligible = node !== undefined && !node.leaving;
  }

  /** Load balancers may send new connections here. */
  nodeEligible(): boolean {
    return this.eligible;
  }

  health(nowMs: number): Health {
    const status: Partial<Record<Family, FamilyHealth>> = {};
    for (const family of families) {
      const lastUpdatedMs = this.lastUpdatedMs.get(family);
      if (lastUpdatedMs === undefined) continue;
      const queuedMs = this.oldestQueuedMs.get(family);
      status[family] = { lastUpdatedMs, healthy: queuedMs === undefined || nowMs - queuedMs < this.staleAfterMs };
    }
    return {
      healthy: Object.values(status).every(({ healthy }) => healthy),
      lastUpdatedMs: this.lastUpdatedMs.size === 0 ? undefined : Math.max(...this.lastUpdatedMs.values()),
      families: status,
    };
  }
}
