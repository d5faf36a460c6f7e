import type { ClusterState, ServiceKey } from '../model/cluster';
import { finish, type Pieces } from '../model/pieces';
import { sameValue } from '../model/same-value';
import type { MutablePlan, Plan, PlanChanges, ServicePlan } from './plan';
import { planPorts } from './plan-service';

/**
 * What becomes of these services of a plan, at the cost of these services alone: `applyPlanChanges` then gives what
 * `planCluster` gives from nothing. A key may be named though nothing about it changed.
 */
export function planChanges(plan: Plan, state: ClusterState, keys: Iterable<ServiceKey>): PlanChanges {
  return finish(planChangesInPieces(plan, state, keys));
}

/** Each Service as the state has it when its turn comes. */
export function* planChangesInPieces(plan: Plan, state: ClusterState, keys: Iterable<ServiceKey>): Pieces<PlanChanges> {
  const changes = new Map<ServiceKey, ServicePlan | undefined>();
  for (const key of keys) {
    const service = state.services.get(key);
    const before = plan.services.get(key);
    const after = service && (yield* planPorts(service, state.slicesOf(key), plan, before));
    if (!sameValue(before, after)) changes.set(key, after);
    yield;
  }
  return changes;
}

/** Brings the plan up to date, in place. */
export function applyPlanChanges(plan: MutablePlan, changes: PlanChanges): void {
  for (const [key, planned] of changes) {
    if (planned === undefined) plan.services.delete(key);
    else plan.services.set(key, planned);
  }
}
