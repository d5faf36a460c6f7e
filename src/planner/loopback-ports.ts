/** The NodePorts of TCP as clients on the node itself reach them, and the choice of an endpoint for one of their connections. */
import { type PlanEndpoint, type ServicePlan, type ServicePortPlan, servicePortName, takesNew } from './plan';

export interface LoopbackPort {
  /** The node port. */
  readonly port: number;
  /** kube-proxy's name of the service port. */
  readonly name: string;
  /** Never empty. */
  readonly endpoints: readonly PlanEndpoint[];
  /** Seconds; 0: none. */
  readonly affinitySeconds: number;
}

/** Returns the NodePorts of TCP that have an endpoint for clients on the node. */
export function loopbackPorts({ ports }: ServicePlan): readonly LoopbackPort[] {
  return ports.flatMap((each) => {
    const frontend = each.frontends.find(({ kind }) => kind === 'NodePort');
    if (frontend === undefined || each.protocol !== 'TCP') return [];
    const endpoints = endpointsForNode(each, frontend);
    if (endpoints.length === 0) return [];
    return { port: frontend.port, name: servicePortName(each), endpoints, affinitySeconds: each.affinitySeconds };
  });
}

/** Under policy Local, the node itself reaches the endpoints of the whole cluster, as it does through its other addresses. */
function endpointsForNode(
  { clusterEndpoints, localEndpoints }: ServicePortPlan,
  { localSourcesToCluster, verdict }: ServicePortPlan['frontends'][number],
): readonly PlanEndpoint[] {
  if (localSourcesToCluster) return clusterEndpoints;
  if (verdict.kind !== 'forward') return [];
  return verdict.endpoints === 'cluster' ? clusterEndpoints : localEndpoints;
}

/**
 * Returns an endpoint that is not among `tried`, each with the chance that its weight gives it, or undefined if none is left.
 *
 * @param random a number from 0 up to 1, without 1.
 */
export function drawEndpoint(
  endpoints: readonly PlanEndpoint[],
  tried: ReadonlySet<PlanEndpoint>,
  random: number,
): PlanEndpoint | undefined {
  const left = endpoints.filter((endpoint) => !tried.has(endpoint) && takesNew(endpoint));
  let at = random * left.reduce((sum, { weight = 1 }) => sum + weight, 0);
  return left.find(({ weight = 1 }) => (at -= weight) < 0);
}
