/** Services of a Plan to look at, found by a text, with each endpoint's share of new connections. Pure. */
import { joinHostPort } from '../model/address';
import type { Family } from '../model/address';
import type { ServiceKey } from '../model/cluster';
import { describeFrontend } from './describe';
import type { Plan, PlanEndpoint, ServicePortPlan } from './plan';

export interface ListedEndpoint {
  /** `10.244.1.2:8080` */
  readonly address: string;
  readonly isLocal: boolean;
  /** 0 to 1, of the list that serves the cluster and of the one under policy Local; left out: it is not in it. */
  readonly share?: number;
  readonly localShare?: number;
}

export interface ListedPort {
  readonly name: string;
  readonly protocol: string;
  readonly family: Family;
  /** `NodePort 30080/tcp (Local)` */
  readonly frontends: readonly string[];
  readonly endpointCount: number;
  /** The first of them. */
  readonly endpoints: readonly ListedEndpoint[];
  /** Seconds; 0: none. */
  readonly affinitySeconds: number;
}

export interface ListedService {
  readonly name: ServiceKey;
  readonly ports: readonly ListedPort[];
}

export interface ServiceList {
  readonly total: number;
  /** Of them, those that the text is found in. */
  readonly found: number;
  readonly services: readonly ListedService[];
}

export interface ListRequest {
  /** Every word of it is found in the name, a frontend or an endpoint; '': all. */
  readonly search: string;
  readonly offset: number;
  readonly limit: number;
}

const mostEndpoints = 100;

/** In order of namespace and name. At 10,000 services of 10 endpoints a search takes some 30 ms. */
export function listServices(plans: readonly Plan[], { search, offset, limit }: ListRequest): ServiceList {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const keys = new Set(plans.flatMap(({ services }) => [...services.keys()]));
  const portsOf = (key: ServiceKey): [Family, ServicePortPlan][] =>
    plans.flatMap(({ family, services }) =>
      (services.get(key)?.ports ?? []).map((port) => [family, port] as [Family, ServicePortPlan]),
    );
  const found = [...keys].filter((key) => words.every((word) => isIn(word, key, () => portsOf(key)))).sort(byName);
  const services = found.slice(offset, offset + limit).map((name) => ({
    name,
    ports: portsOf(name).map(([family, port]) => listPort(family, port)),
  }));
  return { total: keys.size, found: found.length, services };
}

/** As `kubectl get services -A`: `a-b/x` after `a/x`. */
function byName(a: ServiceKey, b: ServiceKey): number {
  const [x, y] = [a.replace('/', '\0'), b.replace('/', '\0')];
  return x < y ? -1 : x > y ? 1 : 0;
}

function isIn(word: string, key: ServiceKey, portsOf: () => readonly [Family, ServicePortPlan][]): boolean {
  if (key.includes(word)) return true;
  return portsOf().some(([, port]) => {
    const { portName, frontends, clusterEndpoints, localEndpoints } = port;
    if (portName.includes(word)) return true;
    if (
      frontends.some(({ kind, address, port: number }) => `${kind} ${address}:${number}`.toLowerCase().includes(word))
    )
      return true;
    const isHere = (endpoint: PlanEndpoint): boolean => joinHostPort(endpoint.address, endpoint.port).includes(word);
    return clusterEndpoints.some(isHere) || localEndpoints.some(isHere);
  });
}

function listPort(family: Family, port: ServicePortPlan): ListedPort {
  const { clusterEndpoints, localEndpoints, affinitySeconds } = port;
  const shares = sharesOf(clusterEndpoints);
  const localShares = sharesOf(localEndpoints);
  const endpoints = new Map(
    [...clusterEndpoints, ...localEndpoints].map((each) => [joinHostPort(each.address, each.port), each]),
  );
  return {
    name: port.portName,
    protocol: port.protocol,
    family,
    frontends: port.frontends.map((frontend) => describeFrontend(port, frontend)),
    endpointCount: endpoints.size,
    endpoints: [...endpoints].slice(0, mostEndpoints).map(([address, { isLocal }]) => {
      const [share, localShare] = [shares.get(address), localShares.get(address)];
      return {
        address,
        isLocal,
        ...(share === undefined ? {} : { share }),
        ...(localShare === undefined ? {} : { localShare }),
      };
    }),
    affinitySeconds,
  };
}

function sharesOf(endpoints: readonly PlanEndpoint[]): Map<string, number> {
  const total = endpoints.reduce((sum, { weight = 1 }) => sum + weight, 0);
  return new Map(endpoints.map(({ address, port, weight = 1 }) => [joinHostPort(address, port), weight / total]));
}
