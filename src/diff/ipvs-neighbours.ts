/** Finds the Services that own virtual servers and entries of sets, and what their neighbours say about them. */
import type { IpvsBackend } from '../backends/ipvs/backend';
import type { SetName } from '../backends/ipvs/sets/names';
import { endOf } from '../backends/ipvs/servers/our-servers';
import { parseServerText } from '../backends/ipvs/servers/server-text';
import { joinHostPort } from '../model/address';
import type { Plan, ServicePortPlan } from '../planner/plan';

type State = IpvsBackend['state'];

interface Owner {
  readonly service: string;
  readonly port: ServicePortPlan;
}

/** Every frontend is in one of these sets, whatever its policy. */
const baseSets = [
  'KUBE-CLUSTER-IP',
  'KUBE-EXTERNAL-IP',
  'KUBE-EXTERNAL-IP-LOCAL',
  'KUBE-LOAD-BALANCER',
  'KUBE-NODE-PORT-TCP',
  'KUBE-NODE-PORT-UDP',
  'KUBE-NODE-PORT-SCTP-HASH',
] as const satisfies readonly SetName[];
/** The frontends in these sets have policy Local. */
const localSets = [
  'KUBE-EXTERNAL-IP-LOCAL',
  'KUBE-LOAD-BALANCER-LOCAL',
  'KUBE-NODE-PORT-LOCAL-TCP',
  'KUBE-NODE-PORT-LOCAL-UDP',
  'KUBE-NODE-PORT-LOCAL-SCTP-HASH',
] as const satisfies readonly SetName[];
const isBase = new RegExp(`^(?:${baseSets.map((set) => set.replace('KUBE-', 'KUBE-(?:6-)?')).join('|')})$`);

export class IpvsNeighbours {
  /** By `10.96.0.10 TCP 80`, or ` TCP 30080` for a NodePort. */
  readonly #owners = new Map<string, Owner>();
  readonly #byAddress = new Map<string, string>();
  /** The kernel's entries in the base sets: `10.96.0.10,tcp:80`, or `tcp:30080` for a NodePort. */
  readonly #based: ReadonlySet<string>;
  readonly #local: ReadonlySet<string>;
  readonly #clusterIPs: ReadonlySet<string>;
  #served: ReadonlySet<string> | undefined;
  #byPort: ReadonlyMap<ServicePortPlan, readonly string[]> | undefined;
  readonly #state: State;

  constructor(plan: Plan, state: State) {
    this.#state = state;
    // Of several Services that claim a frontend, the one with the smallest key owns it, as in Claims.
    const services = [...plan.services.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
    for (const { key, ports } of services) for (const port of ports) this.#addOwner({ service: key, port });
    const entries = (sets: readonly SetName[]): Set<string> =>
      new Set(sets.flatMap((set) => [...state.sets.observed(set).keys()].map((entry) => placeName(set, entry))));
    this.#based = entries(baseSets);
    this.#local = entries(localSets);
    this.#clusterIPs = entries(['KUBE-CLUSTER-IP']);
  }

  /** Returns '' if no Service owns it. */
  serviceOfServer(server: string): string {
    return this.#ownerOf(server)?.service ?? '';
  }

  serviceOfAddress(address: string): string {
    return this.#byAddress.get(address) ?? '';
  }

  serviceOfElement(element: string): string {
    const [set = '', entry = ''] = element.split(' ');
    const [, host, protocol = '', port] = /^(?:([^,]+),)?(tcp|udp|sctp):(\d+)/.exec(placeName(set, entry)) ?? [];
    if (port === undefined) return this.serviceOfAddress(entry);
    return this.#find(protocol.toUpperCase(), host ?? '', Number(port))?.service ?? '';
  }

  /** Returns why somebody else must have edited the virtual server, or undefined if there is no sign of it. */
  suspectServer(server: string, seen: string | undefined): string | undefined {
    if (server.startsWith('FWM ')) return undefined;
    const isBased = this.#isBased(server);
    if (seen === undefined) return isBased ? `${server} was removed: the sets have it` : undefined;
    if (!isBased) return `${server} was added: no set has it`;
    const owner = this.#ownerOf(server);
    if (owner === undefined) return undefined;
    return this.#suspectWeights(server, seen, owner) ?? this.#suspectSibling(server, seen, owner);
  }

  /** The same for an entry that is missing (`+`) or should not be there (`-`). */
  suspectElement(sign: '-' | '+', element: string): string | undefined {
    const [set = '', entry = ''] = element.split(' ');
    if (!isBase.test(set)) return undefined;
    const place = placeName(set, entry);
    const isServed = this.#servedPlaces().has(place);
    if (sign === '+') {
      const isElsewhere = this.#based.has(place);
      return isServed && !isElsewhere ? `${entry} was removed from ${set}: its virtual server is there` : undefined;
    }
    return isServed ? undefined : `${entry} was added to ${set}: no virtual server has it`;
  }

  #addOwner(owner: Owner): void {
    const { service, port } = owner;
    for (const { address, port: number } of port.frontends) {
      const end = `${address} ${port.protocol} ${number}`;
      if (!this.#owners.has(end)) this.#owners.set(end, owner);
      if (address !== '' && !this.#byAddress.has(address)) this.#byAddress.set(address, service);
    }
  }

  #servedPlaces(): ReadonlySet<string> {
    this.#served ??= new Set(
      [...this.#state.servers.observedEntries()].flatMap(([server]) =>
        server.startsWith('FWM ') ? [] : this.#placesOf(server),
      ),
    );
    return this.#served;
  }

  #ownerOf(server: string): Owner | undefined {
    const [protocol = ''] = server.split(' ');
    if (protocol === 'FWM') return undefined;
    const { address, port } = endOf(server);
    return this.#find(protocol, address, port);
  }

  #find(protocol: string, address: string, port: number): Owner | undefined {
    return this.#owners.get(`${address} ${protocol} ${port}`) ?? this.#owners.get(` ${protocol} ${port}`);
  }

  #placesOf(server: string): readonly string[] {
    const [protocol = ''] = server.split(' ');
    const { address, port } = endOf(server);
    const end = `${protocol.toLowerCase()}:${port}`;
    return [`${address},${end}`, end];
  }

  #isBased(server: string): boolean {
    return this.#placesOf(server).some((place) => this.#based.has(place));
  }

  #suspectWeights(server: string, seen: string, { port }: Owner): string | undefined {
    const own = new Map(
      [...port.clusterEndpoints, ...port.localEndpoints].map((one) => [
        joinHostPort(one.address, one.port),
        one.weight,
      ]),
    );
    if ([...own.values()].some((weight) => weight !== undefined)) return undefined;
    const odd = [...parseServerText(seen).weights].find(([, weight]) => weight !== '1' && weight !== '0');
    return odd && `${server}: ${odd[0]} has the weight ${odd[1]}, although no endpoint of the Service has one`;
  }

  /** All external virtual servers of a port have the same policy and therefore the same endpoints. */
  #suspectSibling(server: string, seen: string, { port }: Owner): string | undefined {
    if (this.#isClusterIP(server)) return undefined;
    const isLocal = this.#isLocal(server);
    const other = (this.#serversOf().get(port) ?? []).find(
      (one) =>
        !this.#isClusterIP(one) && this.#isLocal(one) === isLocal && this.#state.servers.getObserved(one) !== seen,
    );
    if (other !== undefined) return `${server} differs from ${other}, which has the same policy`;
    return undefined;
  }

  #serversOf(): ReadonlyMap<ServicePortPlan, readonly string[]> {
    if (this.#byPort !== undefined) return this.#byPort;
    const byPort = new Map<ServicePortPlan, string[]>();
    for (const [server] of this.#state.servers.observedEntries()) {
      const port = this.#ownerOf(server)?.port;
      if (port !== undefined) byPort.set(port, [...(byPort.get(port) ?? []), server]);
    }
    return (this.#byPort = byPort);
  }

  #isClusterIP(server: string): boolean {
    return this.#placesOf(server).some((place) => this.#clusterIPs.has(place));
  }

  #isLocal(server: string): boolean {
    return this.#placesOf(server).some((place) => this.#local.has(place));
  }
}

/** Returns `10.96.0.10,tcp:80`, or `tcp:30080` for an entry of a bitmap of ports. */
function placeName(set: string, entry: string): string {
  const [, ofPort] = /NODE-PORT-(?:LOCAL-)?(TCP|UDP)$/.exec(set) ?? [];
  return ofPort === undefined ? entry : `${ofPort.toLowerCase()}:${entry}`;
}
