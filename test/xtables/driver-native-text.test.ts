import { NfRule, nfgenmsgBytes } from '../../src/host/nf-rule';
import {
  couldBe,
  decodeJump,
  isLocalnetBlock,
  isUnreadRule,
  printUnreadRule,
} from '../../src/xtables/driver-native-text';

/** A netlink attribute (linux/netlink.h). */
function attribute(type: number, value: Buffer | string): Buffer {
  const data = typeof value === 'string' ? Buffer.from(`${value}\0`) : value;
  const padded = Buffer.alloc((data.length + 7) & ~3);
  padded.writeUInt16LE(data.length + 4, 0);
  padded.writeUInt16LE(type, 2);
  data.copy(padded, 4);
  return padded;
}

function number(type: number, value: number): Buffer {
  const data = Buffer.alloc(4);
  data.writeInt32BE(value);
  return attribute(type, data);
}

function expression(name: string, ...data: readonly Buffer[]): Buffer {
  return attribute(1, Buffer.concat([attribute(1, name), attribute(2, Buffer.concat(data))]));
}

function match(name: string, revision: number, data: Buffer): Buffer {
  return expression('match', attribute(1, name), number(2, revision), attribute(3, data));
}

const comment = (text: string): Buffer => match('comment', 0, Buffer.from(`${text}\0 what was in memory`));
const drop = expression('immediate', number(1, 0), attribute(2, attribute(2, number(1, 0))));
const jump = expression(
  'immediate',
  number(1, 0),
  attribute(2, attribute(2, Buffer.concat([number(1, -3), attribute(2, 'KUBE-A')]))),
);

/** struct xt_conntrack_mtinfo3 with these flags, of which the first are inverted by the second. */
function conntrack(flags: number, inverted: number, states: number, statuses: number, revision = 3): Buffer {
  const data = Buffer.alloc(160);
  for (const [i, value] of [flags, inverted, states, statuses].entries()) data.writeUInt16LE(value, 146 + 2 * i);
  return match('conntrack', revision, data);
}

function rule(...expressions: readonly Buffer[]): NfRule {
  return new NfRule(Buffer.concat([Buffer.alloc(nfgenmsgBytes), attribute(4, Buffer.concat(expressions))]));
}

test.each<[what: string, rule: NfRule, text: string | undefined]>([
  ['a jump', rule(jump), '-j KUBE-A'],
  ['a counter is not printed', rule(expression('counter'), jump), '-j KUBE-A'],
  ['a new connection', rule(conntrack(1, 0, 8, 0), jump), '-m conntrack --ctstate NEW -j KUBE-A'],
  [
    'a status that is inverted',
    rule(conntrack(0x40, 0x40, 0, 8), jump),
    '-m conntrack ! --ctstatus CONFIRMED -j KUBE-A',
  ],
  ['a comment', rule(comment('a b'), jump), '-m comment --comment "a b" -j KUBE-A'],
  // iptables-save prints these without quotes, or with a backslash.
  ['a comment of one word', rule(comment('word'), jump), undefined],
  ['a comment with a quote', rule(comment('a "b"'), jump), undefined],
  ['another verdict', rule(drop), undefined],
  ['no verdict', rule(comment('a b')), undefined],
  ['something after the jump', rule(jump, comment('a b')), undefined],
  ['another match', rule(match('mark', 1, Buffer.alloc(12)), jump), undefined],
  ['another expression', rule(expression('meta'), jump), undefined],
  ['two tests of the connection', rule(conntrack(0x41, 0, 8, 8), jump), undefined],
  ['a state that our jumps do not match', rule(conntrack(1, 0, 2, 0), jump), undefined],
  ['another revision of the struct', rule(conntrack(1, 0, 8, 0, 2), jump), undefined],
  ['a struct that is cut short', rule(match('conntrack', 3, Buffer.alloc(20)), jump), undefined],
])('%s', (_, one, text) => {
  expect(decodeJump(one)).toBe(text);
});

test("the kubelet's rule against packets to localhost, by its comment and verdict", () => {
  const block = comment('block incoming localnet connections');
  expect(isLocalnetBlock(rule(block, expression('counter'), drop))).toBe(true);
  expect(isLocalnetBlock(rule(block, jump))).toBe(false);
  expect(isLocalnetBlock(rule(comment('block incoming connections'), drop))).toBe(false);
});

test('a rule that cannot be read is a comment for iptables-restore, with its target at the end', () => {
  expect(printUnreadRule(7, 'KUBE-A')).toMatch(/^#.* 7 .* -j KUBE-A$/);
  expect(isUnreadRule(printUnreadRule(7, ''))).toBe(true);
  expect(isUnreadRule('-m comment --comment "# rule 7" -j KUBE-A')).toBe(false);
});

test.each<[lines: readonly string[], targets: readonly string[], could: boolean]>([
  [[], [], true],
  [['-s 10.0.0.0/8 -j KUBE-A', '-j ACCEPT'], ['KUBE-A', ''], true],
  [['-g KUBE-A'], ['KUBE-A'], true],
  [['-j KUBE-A'], ['KUBE-B'], false],
  [['-j KUBE-A'], [''], false],
  [['-j KUBE-A', '-j KUBE-A'], ['KUBE-A'], false],
])('%j with the targets %j: %s', (lines, targets, could) => {
  expect(couldBe(lines, targets)).toBe(could);
});
