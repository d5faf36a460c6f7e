import type { LocalDetector } from '../../src/model/local-detector';
import {
  jump,
  matchLocalPods,
  renderForwardAccepts,
  renderPostrouting,
  setMasqueradeMark,
} from '../../src/xtables/common-rules';

test.each<[detector: LocalDetector, local: string | undefined, others: string | undefined]>([
  [{ kind: 'none' }, undefined, undefined],
  [{ kind: 'cidr', cidr: 'fd44::/16' }, '-s fd44::/16', '! -s fd44::/16'],
  [{ kind: 'interface', name: 'cni0' }, '-i cni0', '! -i cni0'],
  [{ kind: 'interface-prefix', prefix: 'veth' }, '-i veth+', '! -i veth+'],
])('pods of this node and others by %j', (detector, local, others) => {
  expect(matchLocalPods(detector, true)).toBe(local);
  expect(matchLocalPods(detector, false)).toBe(others);
});

test('a jump, with and without a match', () => {
  expect(jump('nat', 'OUTPUT', '', 'A').rule).toBe('-j A');
  expect(jump('nat', 'OUTPUT', '-p tcp', 'A')).toEqual({ table: 'nat', from: 'OUTPUT', rule: '-p tcp -j A' });
});

test.each([
  [1, '0x1'],
  [0x4000, '0x4000'],
  [2 ** 31, '0x80000000'],
])('the mark of bit value %i leaves the other bits as they are', (mark, hex) => {
  expect(setMasqueradeMark(mark)).toBe(`-j MARK --set-xmark ${hex}/${hex}`);
  expect(renderForwardAccepts(mark)[0]).toContain(` --mark ${hex}/${hex} -j ACCEPT`);
});

test('hairpins come before the check of the mark, and the mark goes before the packet is masqueraded', () => {
  const rules = renderPostrouting(0x4000, { hairpin: 'HAIRPIN', beforeMasquerade: ['COUNT'] });
  const order = [
    /^HAIRPIN$/,
    /! --mark 0x4000\/0x4000 -j RETURN$/,
    /--set-xmark 0x4000\/0x0$/,
    /^COUNT$/,
    /-j MASQUERADE/,
  ];
  expect(rules).toEqual(order.map((rule): unknown => expect.stringMatching(rule)));
  expect(renderPostrouting(0x4000, { hairpin: 'HAIRPIN' })).toEqual(rules.filter((rule) => rule !== 'COUNT'));
});
