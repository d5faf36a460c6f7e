import type { Family } from '../model/address';
import type { ClusterState, ServiceKey } from '../model/cluster';
import { finish, type Pieces } from '../model/pieces';
import type { MutablePlan, NodeSettings, ServicePlan } from './plan';
import { planPorts } from './plan-service';

/** Makes the whole Plan of one family from scratch. The order of its Services is that of the state and has no meaning. */
export function planCluster(state: ClusterState, family: Family, settings: NodeSettings): MutablePlan {
  return finish(planClusterInPieces(state, family, settings));
}

/** Each Service is read from the state when its turn comes. */
export function* planClusterInPieces(state: ClusterState, family: Family, settings: NodeSettings): Pieces<MutablePlan> {
  const services = new Map<ServiceKey, ServicePlan>();
  for (const key of [...state.services.keys()]) {
    const service = state.services.get(key);
    const planned = service && (yield* planPorts(service, state.slicesOf(key), { family, settings }));
    if (planned !== undefined) services.set(key, planned);
    yield;
  }
  return { family, settings, services };
}
