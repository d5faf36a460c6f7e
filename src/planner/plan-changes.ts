import type { ClusterState, ServiceKey } from '../model/cluster';
import { finish, type Pieces } from '../model/pieces';
import { sameValue } from '../model/same-value';
import type { MutablePlan, Plan, PlanChanges, ServicePlan } from './plan';
import { planPorts } from './plan-service';

/**
 * Plans these Services anew, at the cost of these Services only. After `applyPlanChanges` the plan is what `planCluster` would
 * make from scratch. `keys` may contain Services that have not changed.
 */
export function planChanges(plan: Plan, state: ClusterState, keys: Iterable<ServiceKey>): PlanChanges {
  return finish(planChangesInPieces(plan, state, keys));
}

/** Each Service is read from the state when its turn comes. */
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

/** Updates the plan in place. */
export function applyPlanChanges(plan: MutablePlan, changes: PlanChanges): void {
  for (const [key, planned] of changes) {
    if (planned === undefined) plan.services.delete(key);
    else plan.services.set(key, planned);
  }
}
