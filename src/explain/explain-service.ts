/** Explains all ways in to a Service, and all Services that lead to a pod. */
import { isIn, planSources, type Source, usualOutside } from '../compare/sources';
import { isLoopback, joinHostPort } from '../model/address';
import { type Service, serviceKey } from '../model/cluster';
import type { Frontend, ServicePortPlan } from '../planner/plan';
import { sharesOf } from '../compare/ways';
import { explainConnection, type Explanation, type ExplainScope } from './explain-connection';
import { endpointsOfPort, explainLeftOut } from './left-out';
import type { Client } from './question';

export interface WayIn {
  /** `NodePort 192.168.1.5:30080/tcp` */
  readonly frontend: string;
  /** `a pod`, `the node` or `outside`, and what distinguishes it from other clients of its kind. */
  readonly client: string;
  readonly explanation: Explanation;
}

export interface PodOfService {
  /** `shop/web:http` */
  readonly service: string;
  readonly end: string;
  /** Its share of new connections with policy Cluster and with policy Local, 0 to 1. */
  readonly share: { readonly cluster: number; readonly local: number };
  /** Why it gets no connections by the Service's internalTrafficPolicy, or '' if it gets some. */
  readonly why: string;
}

export function explainService(service: Service, scope: ExplainScope): WayIn[] {
  const { plan } = scope;
  const ports = plan.services.get(serviceKey(service.namespace, service.name))?.ports ?? [];
  return ports.flatMap((port) =>
    port.frontends.flatMap((frontend) =>
      addressesOf(frontend, scope).flatMap((address) => waysIn(port, frontend, address, scope)),
    ),
  );
}

/** Returns only one of the addresses of a NodePort, because all of them behave alike. */
function addressesOf(
  { kind, address }: Frontend,
  { plan: { family, settings }, nodeAddresses }: ExplainScope,
): string[] {
  if (kind !== 'NodePort') return [address];
  const answering = settings.nodePortAddresses[family];
  const all = answering.kind === 'some' ? answering.addresses : nodeAddresses;
  return all.filter((one) => !isLoopback(one)).slice(0, 1);
}

function waysIn(port: ServicePortPlan, frontend: Frontend, address: string, scope: ExplainScope): WayIn[] {
  const { settings, family } = scope.plan;
  const endpoints = [...port.clusterEndpoints, ...port.localEndpoints].map((one) => one.address);
  const passOver = new Set([...endpoints, ...scope.nodeAddresses, address]);
  const passesOver = (one: string): boolean => passOver.has(one) || scope.kernel.isLocal(one);
  const nodeIP = settings.nodeIPs[family] ?? scope.nodeAddresses[0] ?? '';
  const node: Source = { kind: 'node', address: nodeIP, device: '' };
  const { sourceRanges } = frontend;
  const parts = planSources(family, settings.localDetector[family], sourceRanges ?? [], passesOver);
  // Of several parts with the same result only the first one is kept, so the one with the usual address comes first.
  const sources = [...parts.toSorted((a, b) => rankOf(a) - rankOf(b)), node];
  const target = { address, port: frontend.port, protocol: port.protocol };
  const where = `${frontend.kind} ${joinHostPort(address, frontend.port)}/${port.protocol.toLowerCase()}`;
  const seen = new Map<string, WayIn>();
  for (const source of sources) {
    const explanation = explainConnection(clientOf(source, settings.nodeName), target, scope);
    const name = source.kind === 'pods' ? 'a pod' : source.kind === 'node' ? 'the node' : 'outside';
    // Parts of the address space with the same result are shown once.
    const key = [name, explanation.outcome, ...explanation.receivers.map(({ end }) => end)].join(' ');
    if (seen.has(key)) continue;
    const isLetIn = sourceRanges?.some((range) => isIn(range, source.address));
    const ranges = isLetIn === undefined ? '' : isLetIn ? ', in its source ranges' : ', not in its source ranges';
    seen.set(key, { frontend: where, client: `${name}${ranges}`, explanation });
  }
  return [...seen.values()];
}

function rankOf({ kind, address }: Source): number {
  return kind === 'pods' ? 2 : Object.values(usualOutside).includes(address) ? 0 : 1;
}

function clientOf({ kind, address }: Source, nodeName: string): Client {
  return kind === 'pods'
    ? { kind: 'pod', address, pod: '', nodeName }
    : { kind: kind === 'node' ? 'node' : 'outside', address, pod: '', nodeName: '' };
}

/** Returns one entry for each Service port that has the pod among its endpoints, chosen or not. */
export function explainPod(pod: string, { cluster, plan }: ExplainScope): PodOfService[] {
  return [...cluster.services.values()].flatMap((service): PodOfService[] => {
    const key = serviceKey(service.namespace, service.name);
    const slices = cluster.slicesOf(key);
    return service.ports.flatMap((servicePort): PodOfService[] => {
      const endpoints = endpointsOfPort(service, servicePort, slices, plan);
      const ours = [...endpoints.all.values()].filter((one) => one.pod === pod);
      if (ours.length === 0) return [];
      const port = plan.services
        .get(key)
        ?.ports.find((one) => one.portName === servicePort.name && one.protocol === servicePort.protocol);
      const lists = port && { cluster: sharesOf(port.clusterEndpoints), local: sharesOf(port.localEndpoints) };
      return ours.map(({ end }) => {
        const share = { cluster: lists?.cluster.get(end) ?? 0, local: lists?.local.get(end) ?? 0 };
        const list = service.internalTrafficPolicy === 'Local' ? 'local' : 'cluster';
        const choice = { list, policy: 'internalTrafficPolicy', chosen: new Set(lists?.[list].keys()) } as const;
        const left = explainLeftOut(endpoints, choice, plan.settings).find((one) => one.end === end);
        const why =
          lists === undefined
            ? `not proxied: ${service.notProxied ?? 'it has no cluster IP of this family'}`
            : (left?.why ?? '');
        return { service: `${key}${servicePort.name && `:${servicePort.name}`}`, end, share, why };
      });
    });
  });
}
