import type { ClusterState, ServiceKey } from '../model/cluster';
import type {
  Frontend,
  MutablePlan,
  Plan,
  PlanChanges,
  PlanEndpoint,
  ServicePlan,
  ServicePortPlan,
  Verdict,
} from './plan';
import { planService } from './plan-service';

function sameList<T>(a: readonly T[], b: readonly T[], same: (x: T, y: T) => boolean): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!same(a[i] as T, b[i] as T)) return false;
  return true;
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return sameList(a, b, (x, y) => x === y);
}

function sameEndpoint(a: PlanEndpoint, b: PlanEndpoint): boolean {
  return a.address === b.address && a.port === b.port && a.isLocal === b.isLocal;
}

function sameVerdict(a: Verdict, b: Verdict): boolean {
  return a.kind === b.kind && (a.kind !== 'forward' || b.kind !== 'forward' || a.endpoints === b.endpoints);
}

function sameFrontend(a: Frontend, b: Frontend): boolean {
  return (
    a.kind === b.kind &&
    a.address === b.address &&
    a.port === b.port &&
    sameVerdict(a.verdict, b.verdict) &&
    a.masquerade === b.masquerade &&
    a.localSourcesToCluster === b.localSourcesToCluster &&
    a.sourceRangesHaveNode === b.sourceRangesHaveNode &&
    (a.sourceRanges === undefined) === (b.sourceRanges === undefined) &&
    sameTexts(a.sourceRanges ?? [], b.sourceRanges ?? [])
  );
}

function samePort(a: ServicePortPlan, b: ServicePortPlan): boolean {
  return (
    a === b ||
    (a.service === b.service &&
      a.portName === b.portName &&
      a.protocol === b.protocol &&
      a.affinitySeconds === b.affinitySeconds &&
      a.noLocalEndpoints.internal === b.noLocalEndpoints.internal &&
      a.noLocalEndpoints.external === b.noLocalEndpoints.external &&
      sameList(a.frontends, b.frontends, sameFrontend) &&
      sameList(a.clusterEndpoints, b.clusterEndpoints, sameEndpoint) &&
      sameList(a.localEndpoints, b.localEndpoints, sameEndpoint) &&
      sameTexts(a.servingEndpoints, b.servingEndpoints))
  );
}

/** Deep equality, apart from identity. */
export function sameServicePlan(a: ServicePlan, b: ServicePlan): boolean {
  return (
    a.key === b.key &&
    a.healthCheckNodePort === b.healthCheckNodePort &&
    a.localReadyEndpoints === b.localReadyEndpoints &&
    a.endpointCount === b.endpointCount &&
    sameList(a.ports, b.ports, samePort)
  );
}

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
    if (before === undefined && after === undefined) continue;
    if (before !== undefined && after !== undefined && sameServicePlan(before, after)) continue;
    changes.set(key, after);
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
