/** Walks a packet through the rules of one hook of one table. At a random match it follows both ways, each with its probability. */
import { markOfIpSet } from './match-ip-set';
import type { Rule, Target } from './iptables-rule';
import type { TableName, TracedTables } from './iptables-tables';
import type { Ended, Left, MatchContext, PacketState, Sent } from './packet';

export class IptablesWalk {
  readonly #tables: TracedTables;
  readonly #context: MatchContext;

  constructor(tables: TracedTables, context: MatchContext) {
    this.#tables = tables;
    this.#context = context;
  }

  /** Walks through a built-in chain. `onward` gets the packets that it lets pass. */
  hook(table: TableName, hook: string, packet: PacketState, onward: (packet: PacketState) => Ended[]): Ended[] {
    const policy = this.#tables[table].dropping.has(hook) ? 'drop' : 'accept';
    return this.#walk(table, hook, packet, 0).flatMap(({ verdict, packet: left }) => {
      const end = verdict === 'return' ? policy : verdict;
      return end === 'accept' ? onward(left) : [{ verdict: end, packet: left }];
    });
  }

  #walk(table: TableName, name: string, packet: PacketState, depth: number): Left[] {
    if (depth > 100) throw new Error(`chains jump in a circle: ${name}`);
    const chain = this.#tables[table].chains.get(name);
    if (chain === undefined) return [{ verdict: 'return', packet }];
    const left: Left[] = [];
    const walk: ChainWalk = { table, chain: name, depth, left };
    let here: Walker[] = [{ packet, counted: 0 }];
    for (const at of chain.candidates(packet.destination, packet.port)) {
      const rule = chain.rules[at];
      if (rule === undefined) break;
      here = this.#meet(walk, rule, at, here);
      if (here.length === 0) break;
    }
    for (const one of here) left.push({ verdict: 'return', packet: count(one, chain.rules.length) });
    return left;
  }

  /** Returns the packets that go on to the next rule, and adds those that leave the chain to `left`. `at` is the rule's position. */
  #meet({ table, chain, depth, left }: ChainWalk, rule: Rule, at: number, here: readonly Walker[]): Walker[] {
    const next: Walker[] = [];
    const counted = at + 1;
    for (const walker of here) {
      const matched = this.#applyMatches(rule, walker, next);
      if (matched === undefined) continue;
      const met: PacketState = {
        ...matched,
        rulesWalked: matched.rulesWalked + counted - walker.counted,
        trail: { rule: { table, chain, text: rule.text }, before: matched.trail },
      };
      for (const { verdict, packet } of this.#target(table, rule.target, met, depth)) {
        if (verdict === 'next') next.push({ packet, counted });
        else if (typeof verdict === 'object') left.push(...this.#walk(table, verdict.goto, packet, depth + 1));
        else left.push({ verdict, packet });
      }
    }
    return next;
  }

  #target(table: TableName, target: Target | undefined, packet: PacketState, depth: number): Sent[] {
    switch (target?.kind) {
      case undefined:
        return [{ verdict: 'next', packet }];
      case 'jump':
        return this.#walk(table, target.chain, packet, depth + 1).map((left) =>
          left.verdict === 'return' ? { verdict: 'next', packet: left.packet } : left,
        );
      case 'goto':
        return [{ verdict: { goto: target.chain }, packet }];
      case 'ACCEPT':
        return [{ verdict: 'accept', packet }];
      case 'DROP':
        return [{ verdict: 'drop', packet }];
      case 'REJECT':
        return [{ verdict: 'reject', packet }];
      case 'RETURN':
        return [{ verdict: 'return', packet }];
      case 'unknown':
        return [{ verdict: 'unknown', packet }];
      case 'MARK':
        return [{ verdict: 'next', packet: { ...packet, mark: ((packet.mark & ~target.mask) ^ target.value) >>> 0 } }];
      case 'SET': {
        const mark = markOfIpSet(target.set, target.directions, packet, this.#context) ?? packet.mark;
        return [{ verdict: 'next', packet: { ...packet, mark } }];
      }
      case 'DNAT': {
        const { address: destination, port } = target;
        return [{ verdict: 'accept', packet: { ...packet, destination, port, isDnated: true } }];
      }
      case 'MASQUERADE': {
        const source = this.#context.node.sourceTo(packet.destination);
        return [{ verdict: 'accept', packet: { ...packet, source, isMasqueraded: true } }];
      }
    }
  }

  /**
   * Applies the matches in order. The effect of a match remains even if a later match fails. Packets that do not match, or that a
   * random match sends on, are added to `next`. Returns undefined if nothing matched.
   */
  #applyMatches({ matches }: Rule, { packet, counted }: Walker, next: Walker[]): PacketState | undefined {
    let matched = packet;
    for (const { chance, effect } of matches) {
      const p = chance(matched, this.#context);
      if (p === 0) {
        next.push({ packet: matched, counted });
        return undefined;
      }
      if (p < 1) {
        next.push({ packet: { ...matched, probability: matched.probability * (1 - p) }, counted });
        matched = { ...matched, probability: matched.probability * p };
      }
      if (effect !== undefined) matched = effect(matched);
    }
    return matched;
  }
}

/** A walk through one chain. */
interface ChainWalk {
  readonly table: TableName;
  readonly chain: string;
  /** The number of jumps that led to this chain. */
  readonly depth: number;
  /** The packets that have left the chain so far. */
  readonly left: Left[];
}

/** A packet in a chain. */
interface Walker {
  readonly packet: PacketState;
  /** How many rules of the chain are already in `rulesWalked`, so that a packet that passes a rule need not be copied. */
  readonly counted: number;
}

function count({ packet, counted }: Walker, upTo: number): PacketState {
  return upTo === counted ? packet : { ...packet, rulesWalked: packet.rulesWalked + upTo - counted };
}
