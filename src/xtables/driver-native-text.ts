/** What a rule of nf_tables says in iptables-save's words, as far as vipwire's own jumps go; pure. */
import type { NfExpression, NfRule } from '../host/nf-rule';
import { blockLocalnetRule, targetChain } from './known-chains';

/** A rule whose text is not known: a comment to iptables-restore, with its target in the place where every jump has it. */
export function printUnreadRule(handle: number, target: string): string {
  return `# rule ${handle} of nf_tables, which cannot be read${target === '' ? '' : ` -j ${target}`}`;
}

export function isUnreadRule(line: string): boolean {
  return line.startsWith('# rule ');
}

/** What follows `-A CHAIN` of a jump that matches comments and connection states alone; undefined for any other rule. */
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
  // iptables-save escapes some characters; none of ours has one.
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

/** struct xt_conntrack_mtinfo3: flags and masks stand behind addresses, lifetimes and ports, of which none may be asked for. */
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

/** kube-proxy's, the kubelet's and our rule against what other hosts send to 127.0.0.0/8, by its comment. */
export function isLocalnetBlock(rule: NfRule): boolean {
  const comment = /--comment "([^"]*)"/.exec(blockLocalnetRule)?.[1];
  const expressions = rule.expressions();
  return (
    expressions.some((expression) => commentOf(expression) === comment) &&
    expressions.some((expression) => expression.kind === 'verdict' && expression.verdict === 'drop')
  );
}

/** Whether these could be the rules that the tool made of these lines: as many, with the same jumps. */
export function couldBe(lines: readonly string[], targets: readonly string[]): boolean {
  return lines.length === targets.length && lines.every((line, i) => (targetChain(line) ?? '') === targets[i]);
}
