/** Prints a rule of nf_tables in iptables-save's words, as far as vipwire's own jumps need it. Pure. */
import type { NfExpression, NfRule } from '../host/nf-rule';
import { blockLocalnetRule, targetChain } from './known-chains';

/** Stands for a rule whose text is unknown. iptables-restore takes it as a comment. The target stands at the end, as in every jump. */
export function printUnreadRule(handle: number, target: string): string {
  return `# rule ${handle} of nf_tables, which cannot be read${target === '' ? '' : ` -j ${target}`}`;
}

export function isUnreadRule(line: string): boolean {
  return line.startsWith('# rule ');
}

/** Returns what follows `-A CHAIN` of a jump that matches only comments and connection states, or undefined for any other rule. */
export function decodeJump(rule: NfRule): string | undefined {
  const parts: string[] = [];
  let jump: string | undefined;
  for (const expression of rule.expressions()) {
    if (jump !== undefined) return undefined;
    if (expression.kind === 'other' && expression.name === 'counter') continue;
    if (expression.kind === 'verdict') {
      if (expression.chain === '') return undefined;
      jump = `-${expression.verdict === 'goto' ? 'g' : 'j'} ${expression.chain}`;
      continue;
    }
    const match = decodeMatch(expression);
    if (match === undefined) return undefined;
    parts.push(match);
  }
  return jump === undefined ? undefined : [...parts, jump].join(' ');
}

function decodeMatch(expression: NfExpression): string | undefined {
  if (expression.kind !== 'match') return undefined;
  if (expression.name === 'conntrack') return decodeConntrack(expression.revision, expression.data);
  const comment = commentOf(expression);
  // iptables-save escapes some characters. None of our comments has one of them.
  return comment === undefined || !/^[\w ,;:./-]+$/.test(comment) || !comment.includes(' ')
    ? undefined
    : `-m comment --comment "${comment}"`;
}

function commentOf(expression: NfExpression): string | undefined {
  if (expression.kind !== 'match' || expression.name !== 'comment') return undefined;
  const { data } = expression;
  const end = data.indexOf(0);
  return data.toString('utf8', 0, end < 0 ? data.length : end);
}

/** Offsets in struct xt_conntrack_mtinfo3. The flags and masks stand after addresses, lifetimes and ports, which our rules do not match. */
const conntrack = { revision: 3, matchFlags: 146, invertFlags: 148, states: 150, statuses: 152, bytes: 154 } as const;
const conntrackFlags = { state: 1, status: 0x40 } as const;
const stateNames: Readonly<Record<number, string>> = { 8: 'NEW' };
const statusNames: Readonly<Record<number, string>> = { 8: 'CONFIRMED' };

function decodeConntrack(revision: number, data: Buffer): string | undefined {
  if (revision !== conntrack.revision || data.length < conntrack.bytes) return undefined;
  const flags = data.readUInt16LE(conntrack.matchFlags);
  const inverted = data.readUInt16LE(conntrack.invertFlags);
  const masks = { state: data.readUInt16LE(conntrack.states), status: data.readUInt16LE(conntrack.statuses) };
  if (inverted !== 0 && inverted !== flags) return undefined;
  const [option, name] =
    flags === conntrackFlags.state
      ? ['--ctstate', stateNames[masks.state]]
      : flags === conntrackFlags.status
        ? ['--ctstatus', statusNames[masks.status]]
        : ['', undefined];
  return name === undefined ? undefined : `-m conntrack ${inverted === 0 ? '' : '! '}${option} ${name}`;
}

/** Whether this is, by its comment, the rule against other hosts' packets to 127.0.0.0/8. kube-proxy, the kubelet and vipwire write it. */
export function isLocalnetBlock(rule: NfRule): boolean {
  const comment = /--comment "([^"]*)"/.exec(blockLocalnetRule)?.[1];
  const expressions = rule.expressions();
  return (
    expressions.some((expression) => commentOf(expression) === comment) &&
    expressions.some((expression) => expression.kind === 'verdict' && expression.verdict === 'drop')
  );
}

/** Whether the tool could have made the rules with these targets from these lines: as many, with the same jumps. */
export function couldBe(lines: readonly string[], targets: readonly string[]): boolean {
  return lines.length === targets.length && lines.every((line, i) => (targetChain(line) ?? '') === targets[i]);
}
