import type { Family } from '../model/address';
import type { ClusterState, ServiceKey } from '../model/cluster';
import type { MutablePlan, NodeSettings, ServicePlan } from './plan';
import { planService } from './plan-service';

/** The whole Plan of one family, from nothing. The order of its services is the state's and says nothing. */
export function planCluster(state: ClusterState, family: Family, settings: NodeSettings): MutablePlan {
  const services = new Map<ServiceKey, ServicePlan>();
  for (const [key, service] of state.services) {
    const planned = planService(service, state.slicesOf(key), family, settings);
    if (planned !== undefined) services.set(key, planned);
  }
  return { family, settings, services };
}
