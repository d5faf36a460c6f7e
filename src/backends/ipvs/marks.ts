/**
 * Marks of service ports under externalTrafficPolicy Local. The first packet of a connection from this node's pods or from the
 * node itself to one of their VIPs gets the port's, just before IPVS looks: the virtual server of that mark has the whole
 * cluster's endpoints. After IPVS the mark is taken off.
 *
 *   0x1000 | index     IPv4        IPVS compares all 32 bits of a packet's mark, so the others are 0. The family is in the
 *   0x1800 | index     IPv6        mark, since /proc/net/ip_vs does not tell it of such a virtual server.
 *
 * These 13 bits are those that others leave alone, or that do no harm for so short a time: by 0x80 (AWS's CNI) and 0xf00 (Cilium)
 * routes are chosen, and the route to a VIP is a local one whatever they say. Of the others, CNI's portmap masquerades
 * 0x2000, older kubelets drop 0x8000, Calico, Weave and Tailscale accept or masquerade by bits of 0xf0000. Where Calico
 * sees kube-ipvs0 it writes a number of the pod to 0xfff00000 in filter's INPUT: no mark of ours is found then, whatever
 * its number, and that node's pods see what clients outside see. It drops what has a number that it does not know.
 */
import { hash } from 'node:crypto';
import type { Family } from '../../model/address';
import type { ServiceKey } from '../../model/cluster';
import { type PlanChanges, type ServicePlan, type ServicePortPlan, servicePortName } from '../../planner/plan';

const indexBits = 11;
/** Service ports of a family that can have one. */
export const mostMarks = 2 ** indexBits;

export interface MarkLayout {
  /** Of index 0: what marks of this family have in common. */
  readonly base: number;
  /** Bits in which they agree, absent ones included. */
  readonly mask: number;
  /** index: 0 to mostMarks - 1. */
  readonly markOf: (index: number) => number;
}

/** Never has the masquerade bit: where that is one of ours, 0x4000 is free in its place. */
export function planMarkLayout(family: Family, masqueradeMark: number): MarkLayout {
  const bits = Array.from({ length: indexBits + 2 }, (_, i) => 2 ** i);
  const places = bits.filter((bit) => bit !== masqueradeMark);
  if (places.length < bits.length) places.push(0x4000);
  const spread = (value: number): number => places.reduce((mark, place, i) => mark | (value & (1 << i) ? place : 0), 0);
  const base = spread((2 << indexBits) | (family === 'IPv6' ? 1 << indexBits : 0));
  return { base, mask: ~spread(mostMarks - 1) >>> 0, markOf: (index) => base | spread(index) };
}

/** Who has which mark. It depends on who there is alone: in order, each gets the place of its hash, or the next free one. */
export class Marks {
  private readonly layout: MarkLayout;
  /** Ports that should have one, and whose they are. */
  private readonly wanting = new Map<string, ServiceKey>();
  byPort: ReadonlyMap<string, number> = new Map();
  /** Ports for which none was left, by order of identity. */
  without: readonly string[] = [];

  constructor(family: Family, masqueradeMark: number) {
    this.layout = planMarkLayout(family, masqueradeMark);
  }

  clear(): void {
    this.wanting.clear();
    this.byPort = new Map();
    this.without = [];
  }

  /** Services that have another mark now, of those that had one before. */
  update(before: ReadonlyMap<ServiceKey, ServicePlan>, changes: PlanChanges): ReadonlySet<ServiceKey> {
    let differs = false;
    for (const [key, after] of changes) {
      const had = markedPorts(before.get(key));
      const has = markedPorts(after);
      if (had.length === has.length && had.every((port, i) => port === has[i])) continue;
      differs = true;
      for (const port of had) this.wanting.delete(port);
      for (const port of has) this.wanting.set(port, key);
    }
    return differs ? this.assign() : new Set();
  }

  private assign(): ReadonlySet<ServiceKey> {
    const before = this.byPort;
    const taken = new Set<number>();
    const marks = new Map<string, number>();
    const moved = new Set<ServiceKey>();
    const ports = [...this.wanting.keys()].sort();
    for (const port of ports.slice(0, mostMarks)) {
      let index = hash('sha256', port, 'buffer').readUInt32BE(0) % mostMarks;
      while (taken.has(index)) index = (index + 1) % mostMarks;
      taken.add(index);
      marks.set(port, this.layout.markOf(index));
    }
    this.byPort = marks;
    this.without = ports.slice(mostMarks);
    for (const [port, key] of this.wanting) if (before.get(port) !== marks.get(port)) moved.add(key);
    return moved;
  }
}

/** What a port's mark is made of. */
export function markIdentity(port: ServicePortPlan): string {
  return `${servicePortName(port)} ${port.protocol}`;
}

/** Those whose clients here are led to another list than those outside. */
function markedPorts(service: ServicePlan | undefined): string[] {
  const ports = service?.ports.filter(({ frontends }) => frontends.some((frontend) => frontend.localSourcesToCluster));
  return ports?.map(markIdentity) ?? [];
}
