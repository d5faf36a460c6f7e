/**
 * Marks of service ports with externalTrafficPolicy Local. When this node's pods or the node itself connect to one of their VIPs, the
 * first packet gets the port's mark just before IPVS. The virtual server of that mark has the endpoints of the whole cluster. After IPVS
 * the mark is removed.
 *
 *   0x1000 | index     IPv4        IPVS compares all 32 bits of a packet's mark, so the others are 0. The mark has the family,
 *   0x1800 | index     IPv6        because /proc/net/ip_vs does not tell the family of a virtual server by mark.
 *
 * Other programs do not use these 13 bits, or the bits do no harm for so short a time. 0x80 (AWS's CNI) and 0xf00 (Cilium) choose
 * routes, but the route to a VIP is local whatever they say. The other bits cannot be used: CNI's portmap masquerades 0x2000, older
 * kubelets drop 0x8000, and Calico, Weave and Tailscale accept or masquerade by bits of 0xf0000. When Calico sees kube-ipvs0, it writes
 * a number of the pod to 0xfff00000 in filter's INPUT. Then IPVS finds none of our marks, and that node's pods are treated as clients
 * outside. Calico drops packets with a number that it does not know.
 */
import { hash } from 'node:crypto';
import type { Family } from '../../../model/address';
import type { ServiceKey } from '../../../model/cluster';
import { type PlanChanges, type ServicePlan, type ServicePortPlan, servicePortName } from '../../../planner/plan';

const indexBits = 11;
/** How many service ports of a family can have a mark. */
export const mostMarks = 2 ** indexBits;

export interface MarkLayout {
  /** The mark of index 0. Its bits are in all marks of this family. */
  readonly base: number;
  /** The bits that are the same in all marks of this family, set or not. */
  readonly mask: number;
  /** `index` is from 0 to mostMarks - 1. */
  readonly markOf: (index: number) => number;
}

/** No mark has the masquerade bit. When that is one of our bits, 0x4000 is free and used instead. */
export function planMarkLayout(family: Family, masqueradeMark: number): MarkLayout {
  const bits = Array.from({ length: indexBits + 2 }, (_, i) => 2 ** i);
  const places = bits.filter((bit) => bit !== masqueradeMark);
  if (places.length < bits.length) places.push(0x4000);
  const spread = (value: number): number => places.reduce((mark, place, i) => mark | (value & (1 << i) ? place : 0), 0);
  const base = spread((2 << indexBits) | (family === 'IPv6' ? 1 << indexBits : 0));
  return { base, mask: ~spread(mostMarks - 1) >>> 0, markOf: (index) => base | spread(index) };
}

/**
 * Which port has which mark. A port keeps its mark for as long as it needs one, across restarts too. While a mark moved from one port to
 * another, clients of the one would reach the other's endpoints. For the same reason a freed mark is given to another port only when
 * no other mark is left. A new port gets the mark at the index of its hash, or the next free one.
 */
export class Marks {
  readonly #layout: MarkLayout;
  /** Ports that need a mark -> their Services. */
  readonly #wanting = new Map<string, ServiceKey>();
  byPort: ReadonlyMap<string, number> = new Map();
  /** Freed marks, which may still be in a set -> the ports that had them. */
  readonly #resting = new Map<number, string>();
  /** Mark -> port. undefined until somebody asks for it. */
  #byMark: ReadonlyMap<number, string> | undefined;
  /** Ports for which no mark was left. Marks are given in the order of markIdentity. */
  without: ReadonlySet<string> = new Set();

  constructor(family: Family, masqueradeMark: number) {
    this.#layout = planMarkLayout(family, masqueradeMark);
  }

  portOf(mark: number): string | undefined {
    this.#byMark ??= new Map([...this.byPort].map(([port, of]) => [of, port]));
    return this.#byMark.get(mark);
  }

  /** Begins with the marks that the kernel has, each with the port that it belongs to, or '' when no such port is known. */
  restart(inUse: ReadonlyMap<number, string>): void {
    const { base, mask } = this.#layout;
    this.#wanting.clear();
    this.#resting.clear();
    const byPort = new Map<string, number>();
    for (const [mark, port] of inUse) {
      if ((mark & mask) >>> 0 !== base) continue;
      if (port === '' || byPort.has(port)) this.#resting.set(mark, port);
      else byPort.set(port, mark);
    }
    this.byPort = byPort;
    this.#byMark = undefined;
  }

  /** Takes note of changed Services. Returns the Services that get a new mark. */
  update(before: ReadonlyMap<ServiceKey, ServicePlan>, changes: PlanChanges): ReadonlySet<ServiceKey> {
    let differs = false;
    for (const [key, after] of changes) {
      const had = markedPorts(before.get(key));
      const has = markedPorts(after);
      if (had.length === has.length && had.every((port, i) => port === has[i])) continue;
      differs = true;
      for (const port of had) this.#wanting.delete(port);
      for (const port of has) this.#wanting.set(port, key);
    }
    return differs ? this.#assign() : new Set();
  }

  #assign(): ReadonlySet<ServiceKey> {
    const marks = new Map<string, number>();
    const taken = new Set<number>();
    for (const [port, mark] of this.byPort)
      if (this.#wanting.has(port)) {
        marks.set(port, mark);
        taken.add(mark);
      } else this.#resting.set(mark, port);
    const given = new Set<ServiceKey>();
    const without = new Set<string>();
    const fresh = [...this.#wanting].filter(([port]) => !marks.has(port)).sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [port, key] of fresh) {
      const mark = this.#findFree(port, taken);
      if (mark === undefined) without.add(port);
      else {
        marks.set(port, mark);
        taken.add(mark);
        this.#resting.delete(mark);
        given.add(key);
      }
    }
    this.byPort = marks;
    this.#byMark = undefined;
    this.without = without;
    return given;
  }

  #findFree(port: string, taken: ReadonlySet<number>): number | undefined {
    if (taken.size === mostMarks) return undefined;
    const first = hash('sha256', port, 'buffer').readUInt32BE(0) % mostMarks;
    let rested: number | undefined;
    for (let i = 0; i < mostMarks; i++) {
      const mark = this.#layout.markOf((first + i) % mostMarks);
      if (taken.has(mark)) continue;
      const last = this.#resting.get(mark);
      if (last === undefined || last === port) return mark;
      rested ??= mark;
    }
    return rested;
  }
}

/** What identifies a port here. The index of its mark is a hash of this. */
export function markIdentity(port: ServicePortPlan): string {
  return `${servicePortName(port)} ${port.protocol}`;
}

/** The ports that use another list of endpoints for clients on this node than for clients outside. */
function markedPorts(service: ServicePlan | undefined): string[] {
  const ports = service?.ports.filter(({ frontends }) => frontends.some((frontend) => frontend.localSourcesToCluster));
  return ports?.map(markIdentity) ?? [];
}
