/**
 * Finds out what happens to a new connection on a node in IPVS mode. The virtual server chooses the endpoint; sets and rules decide
 * who is masqueraded, refused and let in.
 *
 *   from outside    nat PREROUTING -> mangle INPUT -> filter INPUT -> IPVS -> mangle, filter OUTPUT -> nat POSTROUTING
 *   from the node   mangle OUTPUT -> nat OUTPUT -> IPVS -> mangle, filter OUTPUT -> nat POSTROUTING
 *
 * If the destination that was chosen is the node itself, IPVS changes the packet and lets it continue in its hook
 * (ip_vs_nat_send_or_cont): a packet from outside is delivered and passes neither OUTPUT nor POSTROUTING, and one from the node
 * continues in OUTPUT.
 */
import { familyOf, joinHostPort } from '../model/address';
import type { IpSets } from './ip-sets';
import type { TracedTables } from './iptables-tables';
import type { IpvsDestination, IpvsServer, IpvsServers } from './ipvs-servers';
import {
  accepted,
  type Connection,
  type Ended,
  type MatchContext,
  mergeOutcomes,
  type Outcome,
  type PacketState,
  startPacket,
  type TracedNode,
} from './packet';
import { IptablesWalk } from './walk-iptables';

export interface IpvsState {
  readonly servers: IpvsServers;
  readonly sets: IpSets;
  /** The addresses of kube-ipvs0, canonical. */
  readonly boundAddresses: ReadonlySet<string>;
  readonly tables: TracedTables;
}

/** Schedulers that give the same share to each destination whose weight is not 0. */
const blindToWeights = new Set(['rr', 'lc']);
/** Schedulers that keep a client with its destination as long as the destinations do not change. */
const byClient = new Set(['sh', 'mh', 'dh']);

/** Like traceConnection. The node's own packets to a VIP have the VIP as their source, because it is an address of kube-ipvs0. */
export function traceIpvsConnection(
  state: IpvsState,
  node: TracedNode,
  connection: Connection,
  onSource?: MatchContext['onSource'],
): Outcome[] {
  const { destination, device } = connection;
  const own = ownAddresses(state, node);
  const isOwnToVip = device === '' && state.boundAddresses.has(destination);
  const source = isOwnToVip ? destination : (connection.source ?? own.sourceTo(destination));
  const start = startPacket(connection, familyOf(destination), source);
  const context = { node: own, sets: state.sets, ...(onSource && { onSource }) };
  return mergeOutcomes(new Trace(state, own, new IptablesWalk(state.tables, context)).run(start), own);
}

/** Returns the node with the addresses of kube-ipvs0 added. */
export function ownAddresses({ boundAddresses }: Pick<IpvsState, 'boundAddresses'>, node: TracedNode): TracedNode {
  return {
    isLocal: (address) => boundAddresses.has(address) || node.isLocal(address),
    deviceTo: (address) => (boundAddresses.has(address) ? 'lo' : node.deviceTo(address)),
    sourceTo: (address) => (boundAddresses.has(address) ? address : node.sourceTo(address)),
  };
}

class Trace {
  readonly #state: IpvsState;
  readonly #node: TracedNode;
  readonly #rules: IptablesWalk;

  constructor(state: IpvsState, node: TracedNode, rules: IptablesWalk) {
    this.#state = state;
    this.#node = node;
    this.#rules = rules;
  }

  run(start: PacketState): Ended[] {
    if (start.inDevice === '')
      return this.#rules.hook('mangle', 'OUTPUT', start, (packet) =>
        this.#rules.hook('nat', 'OUTPUT', packet, (sent) => this.#serve(sent, (unserved) => this.#stay(unserved))),
      );
    return this.#rules.hook('nat', 'PREROUTING', start, (packet) =>
      this.#node.isLocal(packet.destination) ? this.#arrive(packet) : this.#pass(packet),
    );
  }

  #arrive(packet: PacketState): Ended[] {
    return this.#rules.hook('mangle', 'INPUT', packet, (marked) =>
      this.#rules.hook('filter', 'INPUT', marked, (allowed) => this.#serve(allowed, accepted)),
    );
  }

  #pass(packet: PacketState): Ended[] {
    return this.#rules.hook('filter', 'FORWARD', packet, (allowed) =>
      this.#rules.hook('nat', 'POSTROUTING', allowed, accepted),
    );
  }

  /** A packet from the node that no virtual server takes. */
  #stay(packet: PacketState): Ended[] {
    return this.#rules.hook('filter', 'OUTPUT', packet, (sent) =>
      this.#node.isLocal(sent.destination) ? this.#rules.hook('filter', 'INPUT', sent, accepted) : accepted(sent),
    );
  }

  #serve(packet: PacketState, unserved: (packet: PacketState) => Ended[]): Ended[] {
    const { servers } = this.#state;
    const byAddress = `${packet.protocol} ${joinHostPort(packet.destination, packet.port)}`;
    const byMark = `mark ${packet.mark}`;
    const key = packet.mark !== 0 && servers.has(byMark) ? byMark : byAddress;
    const server = servers.get(key);
    if (server === undefined) return unserved(packet);
    const rule = { table: 'ipvs', chain: key, text: server.options };
    const met = { ...packet, trail: { rule, before: packet.trail } };
    const ways = pickDestinations(key, server, met);
    return ways.length === 0 ? [{ verdict: 'reject', packet: met }] : ways.flatMap((way) => this.#send(way));
  }

  #send(packet: PacketState): Ended[] {
    const out = { ...packet, outDevice: this.#node.deviceTo(packet.destination) };
    if (this.#node.isLocal(packet.destination))
      return packet.inDevice === '' ? this.#deliverOwn(out) : accepted({ ...out, outDevice: '' });
    return this.#rules.hook('mangle', 'OUTPUT', out, (marked) =>
      this.#rules.hook('filter', 'OUTPUT', marked, (allowed) =>
        this.#rules.hook('nat', 'POSTROUTING', allowed, accepted),
      ),
    );
  }

  /** It leaves by lo and comes in again. */
  #deliverOwn(packet: PacketState): Ended[] {
    return this.#rules.hook('filter', 'OUTPUT', packet, (allowed) =>
      this.#rules.hook('nat', 'POSTROUTING', allowed, (out) => {
        const back = { ...out, inDevice: 'lo', outDevice: '' };
        return this.#rules.hook('mangle', 'INPUT', back, (marked) =>
          this.#rules.hook('filter', 'INPUT', marked, accepted),
        );
      }),
    );
  }
}

function pickDestinations(key: string, server: IpvsServer, packet: PacketState): PacketState[] {
  const { scheduler, persistenceSeconds } = server;
  const destinations = server.destinations.filter(({ weight }) => weight > 0);
  const listName = ({ address, port }: IpvsDestination): string => `ipvs ${key} ${joinHostPort(address, port)}`;
  const isSticky = persistenceSeconds > 0 || byClient.has(scheduler);
  const send = (to: IpvsDestination, probability: number, more: Partial<PacketState>): PacketState => ({
    ...packet,
    destination: to.address,
    port: to.port,
    isDnated: true,
    virtual: { address: packet.destination, port: packet.port },
    probability: packet.probability * probability,
    ...more,
  });
  const remembered = isSticky ? destinations.find((one) => packet.recent.has(listName(one))) : undefined;
  if (remembered !== undefined) return [send(remembered, 1, { rememberedSeconds: persistenceSeconds || Infinity })];
  const weightOf = ({ weight }: IpvsDestination): number => (blindToWeights.has(scheduler) ? 1 : weight);
  const all = destinations.reduce((sum, one) => sum + weightOf(one), 0);
  return destinations.map((one) =>
    send(one, weightOf(one) / all, isSticky ? { recent: new Set([...packet.recent, listName(one)]) } : {}),
  );
}
