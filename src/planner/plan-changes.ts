import type { ClusterState, ServiceKey } from '../model/cluster';
import { sameValue } from '../model/same-value';
import type { MutablePlan, Plan, PlanChanges, ServicePlan } from './plan';
import { planService } from './plan-service';

/**
 * What becomes of these services of a plan, at the cost of these services alone: `applyPlanChanges` then gives what
 * `planCluster` gives from nothing. A key may be named though nothing about it changed.
 */
export function planChanges(plan: Plan, state: ClusterState, keys: Iterable<ServiceKey>): PlanChanges {
  const changes = new Map<ServiceKey, ServicePlan | undefined>();
  for (const key of keys) {
    const service = state.services.get(key);
    const before = plan.services.get(key);
    const after = service && planService(service, state.slicesOf(key), plan.family, plan.settings);
    if (!sameValue(before, after)) changes.set(key, after);
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
