/** Finds the endpoints of a Service that get no new connections of a client, and says why. */
import type { EndpointSlice, Service, ServicePort } from '../model/cluster';
import { type Candidate, mergeSlices, portMatch } from '../planner/merge-slices';
import { type NodeSettings, type Plan, takesNew } from '../planner/plan';
import { podOf } from './question';

export interface ShownEndpoint {
  /** `10.244.1.2:8080` */
  readonly end: string;
  /** `shop/web-1`, or '' if it is not a pod. */
  readonly pod: string;
  /** '' if unknown. */
  readonly nodeName: string;
  /** '' if unknown. */
  readonly zone: string;
}

export interface LeftOut extends ShownEndpoint {
  readonly why: string;
}

/** The endpoints over which a client's connections are balanced, and the policy that decides it. */
export interface Choice {
  /** Undefined if its connections are not forwarded. */
  readonly list: 'cluster' | 'local' | undefined;
  readonly policy: 'internalTrafficPolicy' | 'externalTrafficPolicy';
  /** `address:port` of the endpoints that get connections. */
  readonly chosen: ReadonlySet<string>;
}

export interface PortEndpoints {
  readonly all: ReadonlyMap<string, Candidate & ShownEndpoint>;
  /** If no slice has the port: the ports that the slices have, such as `web/TCP`. */
  readonly otherPorts: readonly string[];
}

/** Returns all endpoints that the slices have for this port of the Service. */
export function endpointsOfPort(
  service: Service,
  port: ServicePort,
  slices: readonly EndpointSlice[],
  { family, settings }: Plan,
): PortEndpoints {
  const merged = mergeSlices(slices, family, settings.nodeName, service.weights);
  const candidates = merged.get(portMatch(port.name, port.protocol)) ?? [];
  const all = candidates.map((candidate) => {
    const { target, nodeName, zone } = candidate.conditions;
    return [
      candidate.text,
      { ...candidate, end: candidate.text, pod: podOf(service, target), nodeName, zone },
    ] as const;
  });
  const ports = slices.filter((slice) => slice.family === family).flatMap((slice) => slice.ports);
  const names = ports.map(({ name, protocol }) => `${name === '' ? 'unnamed' : name}/${protocol}`);
  return { all: new Map(all), otherPorts: candidates.length > 0 ? [] : [...new Set(names)].sort() };
}

export function explainLeftOut({ all }: PortEndpoints, choice: Choice, settings: NodeSettings): LeftOut[] {
  return [...all.values()]
    .filter(({ end }) => !choice.chosen.has(end))
    .map((candidate) => {
      const { end, pod, nodeName, zone } = candidate;
      return { end, pod, nodeName, zone, why: reasonOf(candidate, choice, settings) };
    });
}

function reasonOf({ conditions, planned }: Candidate, { list, policy }: Choice, settings: NodeSettings): string {
  const { ready, serving, terminating, nodeName, zoneHints, nodeHints } = conditions;
  if (!ready && terminating && !serving) return 'terminating and no longer serving';
  if (!ready && !terminating) return 'not ready';
  const where = nodeName === '' ? 'on an unknown node' : `on ${nodeName}`;
  if (list !== 'cluster' && !planned.isLocal) return `${where}: ${policy} is Local`;
  if (!ready) return 'terminating; other endpoints are ready';
  if (!takesNew(planned)) return 'its weight is 0 (vipwire.io/weights)';
  if (nodeHints.length > 0 && !nodeHints.includes(settings.nodeName)) return `hinted to node ${nodeHints.join(', ')}`;
  if (zoneHints.length > 0)
    return `hinted to zone ${zoneHints.join(', ')}; this node is in ${settings.zone || 'no known zone'}`;
  return 'not chosen';
}

/** Returns `3 are on node-2, node-5`, or '' if no endpoint is ready. */
export function whereReady({ all }: PortEndpoints): string {
  const ready = [...all.values()].filter(({ conditions }) => conditions.ready);
  const nodes = [...new Set(ready.map(({ nodeName }) => nodeName || 'an unknown node'))].sort();
  if (ready.length === 0) return '';
  const most = 5;
  const more = nodes.length > most ? ` and ${nodes.length - most} more` : '';
  return `${ready.length === 1 ? '1 is' : `${ready.length} are`} on ${nodes.slice(0, most).join(', ')}${more}`;
}

/** Returns `2 not ready, 1 terminating`, or '' if there are no endpoints at all. */
export function whyNoneIsReady({ all }: PortEndpoints): string {
  const counts = new Map<string, number>();
  for (const { conditions } of all.values()) {
    const state = conditions.terminating ? 'terminating' : conditions.ready ? 'ready' : 'not ready';
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
}
