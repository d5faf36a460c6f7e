/** One hook of one table: what its rules make of a packet. Where dice decide, every way with its probability. */
import { markOfIpSet } from './ip-sets';
import type { Rule, Target } from './iptables-rule';
import type { TableName, TracedTables } from './iptables-tables';
import type { Ended, Left, MatchContext, PacketState, Sent } from './packet';

export class IptablesWalk {
  constructor(
    private readonly tables: TracedTables,
    private readonly context: MatchContext,
  ) {}

  /** Goes through a built-in chain; what it lets pass goes `onward`. */
  hook(table: TableName, hook: string, packet: PacketState, onward: (packet: PacketState) => Ended[]): Ended[] {
    const policy = this.tables[table].dropping.has(hook) ? 'drop' : 'accept';
    return this.walk(table, hook, packet, 0).flatMap(({ verdict, packet: left }) => {
      const end = verdict === 'return' ? policy : verdict;
      return end === 'accept' ? onward(left) : [{ verdict: end, packet: left }];
    });
  }

  private walk(table: TableName, name: string, packet: PacketState, depth: number): Left[] {
    if (depth > 100) throw new Error(`chains jump in a circle: ${name}`);
    const chain = this.tables[table].chains.get(name);
    if (chain === undefined) return [{ verdict: 'return', packet }];
    const left: Left[] = [];
    let here: PacketState[] = [packet];
    let passed = 0;
    for (const at of chain.candidates(packet.destination, packet.port)) {
      const rule = chain.rules[at];
      if (rule === undefined) break;
      const skipped = at - passed;
      passed = at + 1;
      here = here.flatMap((one) => this.meet(table, name, rule, stepOver(one, skipped), depth, left));
      if (here.length === 0) break;
    }
    const rest = chain.rules.length - passed;
    return [...left, ...here.map((one): Left => ({ verdict: 'return', packet: stepOver(one, rest) }))];
  }

  /** What goes on to the next rule; what does not is added to `left`. */
  private meet(
    table: TableName,
    chain: string,
    rule: Rule,
    packet: PacketState,
    depth: number,
    left: Left[],
  ): PacketState[] {
    const { matched, others: next } = this.applyMatches(rule, packet);
    if (matched === undefined) return next;
    const met = { ...matched, trail: { rule: { table, chain, text: rule.text }, before: matched.trail } };
    for (const { verdict, packet: sent } of this.target(table, rule.target, met, depth)) {
      if (verdict === 'next') next.push(sent);
      else if (typeof verdict === 'object') left.push(...this.walk(table, verdict.goto, sent, depth + 1));
      else left.push({ verdict, packet: sent });
    }
    return next;
  }

  private target(table: TableName, target: Target | undefined, packet: PacketState, depth: number): Sent[] {
    switch (target?.kind) {
      case undefined:
        return [{ verdict: 'next', packet }];
      case 'jump':
        return this.walk(table, target.chain, packet, depth + 1).map((left) =>
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
        const mark = markOfIpSet(target.set, target.directions, packet, this.context) ?? packet.mark;
        return [{ verdict: 'next', packet: { ...packet, mark } }];
      }
      case 'DNAT': {
        const { address: destination, port } = target;
        return [{ verdict: 'accept', packet: { ...packet, destination, port, isDnated: true } }];
      }
      case 'MASQUERADE': {
        const source = this.context.node.sourceTo(packet.destination);
        return [{ verdict: 'accept', packet: { ...packet, source, isMasqueraded: true } }];
      }
    }
  }

  /** Matches are asked in order: what one of them does is done though the next says no. */
  private applyMatches(
    { matches }: Rule,
    packet: PacketState,
  ): { matched: PacketState | undefined; others: PacketState[] } {
    let matched: PacketState = { ...packet, rulesWalked: packet.rulesWalked + 1 };
    const others: PacketState[] = [];
    for (const { chance, effect } of matches) {
      const p = chance(matched, this.context);
      if (p < 1) others.push({ ...matched, probability: matched.probability * (1 - p) });
      if (p === 0) return { matched: undefined, others };
      matched = { ...matched, probability: matched.probability * p };
      if (effect !== undefined) matched = effect(matched);
    }
    return { matched, others };
  }
}

/** Rules that could not match were walked, too. */
function stepOver(packet: PacketState, rules: number): PacketState {
  return rules === 0 ? packet : { ...packet, rulesWalked: packet.rulesWalked + rules };
}
