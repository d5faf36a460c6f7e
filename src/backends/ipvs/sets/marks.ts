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
import type { Family } from '../../../model/address';
import type { ServiceKey } from '../../../model/cluster';
import { type PlanChanges, type ServicePlan, type ServicePortPlan, servicePortName } from '../../../planner/plan';

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

/**
 * Who has which mark. A port keeps its own for as long as it wants one, restarts included: while a mark went from one to another,
 * clients of the one would reach the other's endpoints. For the same reason a mark that became free is given again only when
 * there is no other. A new port gets the place of its hash, or the next free one.
 */
export class Marks {
  private readonly layout: MarkLayout;
  /** Ports that should have one, and whose they are. */
  private readonly wanting = new Map<string, ServiceKey>();
  byPort: ReadonlyMap<string, number> = new Map();
  /** Nobody's any more, but perhaps still in a set -> whose they were. */
  private readonly resting = new Map<number, string>();
  /** Whose each is; none until somebody asks. */
  private byMark: ReadonlyMap<number, string> | undefined;
  /** Ports for which none was left, by order of identity. */
  without: ReadonlySet<string> = new Set();

  constructor(family: Family, masqueradeMark: number) {
    this.layout = planMarkLayout(family, masqueradeMark);
  }

  portOf(mark: number): string | undefined {
    this.byMark ??= new Map([...this.byPort].map(([port, of]) => [of, port]));
    return this.byMark.get(mark);
  }

  /** From what the kernel has: marks in use, each with the port whose it is, or '' where it is nobody's. */
  restart(inUse: ReadonlyMap<number, string>): void {
    const { base, mask } = this.layout;
    this.wanting.clear();
    this.resting.clear();
    const byPort = new Map<string, number>();
    for (const [mark, port] of inUse) {
      if ((mark & mask) >>> 0 !== base) continue;
      if (port === '' || byPort.has(port)) this.resting.set(mark, port);
      else byPort.set(port, mark);
    }
    this.byPort = byPort;
    this.byMark = undefined;
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
    const marks = new Map<string, number>();
    const taken = new Set<number>();
    for (const [port, mark] of this.byPort)
      if (this.wanting.has(port)) {
        marks.set(port, mark);
        taken.add(mark);
      } else this.resting.set(mark, port);
    const given = new Set<ServiceKey>();
    const without = new Set<string>();
    const fresh = [...this.wanting].filter(([port]) => !marks.has(port)).sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [port, key] of fresh) {
      const mark = this.findFree(port, taken);
      if (mark === undefined) without.add(port);
      else {
        marks.set(port, mark);
        taken.add(mark);
        this.resting.delete(mark);
        given.add(key);
      }
    }
    this.byPort = marks;
    this.byMark = undefined;
    this.without = without;
    return given;
  }

  private findFree(port: string, taken: ReadonlySet<number>): number | undefined {
    if (taken.size === mostMarks) return undefined;
    const first = hash('sha256', port, 'buffer').readUInt32BE(0) % mostMarks;
    let rested: number | undefined;
    for (let i = 0; i < mostMarks; i++) {
      const mark = this.layout.markOf((first + i) % mostMarks);
      if (taken.has(mark)) continue;
      const last = this.resting.get(mark);
      if (last === undefined || last === port) return mark;
      rested ??= mark;
    }
    return rested;
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
