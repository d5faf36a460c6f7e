/**
 * Finds out what happens to a new connection on a node with these iptables rules, without root, a kernel or packets.
 *
 *   from outside    nat PREROUTING -> route -> filter INPUT | filter FORWARD -> nat POSTROUTING
 *   from the node   nat OUTPUT -> filter OUTPUT -> nat POSTROUTING (-> filter INPUT, if it stays on the node)
 */
import { familyOf } from '../model/address';
import type { TracedTables } from './iptables-tables';
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

/** Returns all outcomes, the most probable first. Their probabilities add up to 1. Throws if the node has no route. */
export function traceConnection(
  tables: TracedTables,
  node: TracedNode,
  connection: Connection,
  onSource?: MatchContext['onSource'],
): Outcome[] {
  const { destination } = connection;
  const start = startPacket(connection, familyOf(destination), connection.source ?? node.sourceTo(destination));
  const context = onSource === undefined ? { node } : { node, onSource };
  return mergeOutcomes(new Trace(new IptablesWalk(tables, context), node).run(start), node);
}

class Trace {
  readonly #rules: IptablesWalk;
  readonly #node: TracedNode;

  constructor(rules: IptablesWalk, node: TracedNode) {
    this.#rules = rules;
    this.#node = node;
  }

  run(start: PacketState): Ended[] {
    const isOwn = start.inDevice === '';
    const outDevice = isOwn ? this.#node.deviceTo(start.destination) : '';
    return this.#rules.hook('nat', isOwn ? 'OUTPUT' : 'PREROUTING', { ...start, outDevice }, (packet) =>
      isOwn ? this.#leave('OUTPUT', packet) : this.#route(packet),
    );
  }

  #route(packet: PacketState): Ended[] {
    return this.#node.isLocal(packet.destination)
      ? this.#rules.hook('filter', 'INPUT', packet, accepted)
      : this.#leave('FORWARD', packet);
  }

  #leave(hook: 'OUTPUT' | 'FORWARD', before: PacketState): Ended[] {
    const packet = { ...before, outDevice: this.#node.deviceTo(before.destination) };
    return this.#rules.hook('filter', hook, packet, (allowed) =>
      this.#rules.hook('nat', 'POSTROUTING', allowed, (out) =>
        out.outDevice === 'lo'
          ? this.#rules.hook('filter', 'INPUT', { ...out, inDevice: 'lo', outDevice: '' }, accepted)
          : accepted(out),
      ),
    );
  }
}
