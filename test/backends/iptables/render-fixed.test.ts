import {
  matchHairpin,
  renderFilterBase,
  renderJumps,
  renderNatBase,
} from '../../../src/backends/iptables/render-fixed';
import { isOurChain } from '../../../src/xtables/known-chains';
import { jumps as kubeProxyJumps } from '../../support/kube-proxy-rules';
import { iptablesSettings } from '../../support/settings';

test("the jumps are kube-proxy's, in its order, so that neither inserts the other's again", () => {
  const theirs = kubeProxyJumps.map(({ table, from, rule, to }) => {
    const words = rule.slice(0, -2).map((word) => (word.includes(' ') ? `"${word}"` : word));
    return [table, from, [...words, '-j', to].join(' ')];
  });
  const ours = renderJumps(true).filter(({ rule }) => rule.includes('-j KUBE-'));
  expect(ours.map(({ table, from, rule }) => [table, from, rule])).toEqual(theirs);
});

test('without localhost NodePorts KUBE-FIREWALL does not occur', () => {
  expect(JSON.stringify(renderJumps(false))).not.toContain('KUBE-FIREWALL');
  expect(renderFilterBase('IPv4', iptablesSettings, false).has('KUBE-FIREWALL')).toBe(false);
  expect(renderFilterBase('IPv4', iptablesSettings, true).has('KUBE-FIREWALL')).toBe(true);
});

test.each([0x1, 0x4000, 0x80000000])(
  'the mark %i is set, told, and cleared before the address is taken',
  (masqueradeMark) => {
    const mark = `0x${masqueradeMark.toString(16)}`;
    const nat = renderNatBase('IPv4', { ...iptablesSettings, masqueradeMark }, true);
    expect(nat.get('KUBE-MARK-MASQ')).toEqual([`-j MARK --set-xmark ${mark}/${mark}`]);
    expect(nat.get('KUBE-POSTROUTING')?.slice(1)).toEqual([
      `-m mark ! --mark ${mark}/${mark} -j RETURN`,
      `-j MARK --set-xmark ${mark}/0x0`,
      '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    ]);
  },
);

test('hairpin connections are marked first, by a program or by a tree', () => {
  const first = (hasBpf: boolean): string | undefined =>
    renderNatBase('IPv4', { ...iptablesSettings, hasBpf }, true).get('KUBE-POSTROUTING')?.[0];
  expect(first(true)).toBe(`${matchHairpin('IPv4')} -j MARK --set-xmark 0x4000/0x4000`);
  expect(first(false)).toBe('-m conntrack --ctstate DNAT -j KUBE-SEP-hairpin');
});

describe('the hairpin program', () => {
  /** Runs classic BPF, as far as the four instructions that the program uses. */
  function runs(program: string, packet: Buffer): boolean {
    const [count, ...steps] = program.split(',');
    expect(steps).toHaveLength(Number(count));
    const code = steps.map((step) => step.split(' ').map(Number) as [number, number, number, number]);
    let [a, x] = [0, 0];
    for (let at = 0; at < code.length; at++) {
      const [op, jumpTrue, jumpFalse, k] = code[at] as [number, number, number, number];
      if (op === 32) a = packet.readUInt32BE(k);
      else if (op === 7) x = a;
      else if (op === 29) at += a === x ? jumpTrue : jumpFalse;
      else if (op === 6) return k !== 0;
      else throw new Error(`what is instruction ${op}`);
    }
    throw new Error('it has no end');
  }
  const program = (family: 'IPv4' | 'IPv6'): string => /"(.*)"/.exec(matchHairpin(family))?.[1] ?? '';

  test.each([
    ['0a f4 01 02', '0a f4 01 02', true],
    ['0a f4 01 02', '0a f4 01 03', false],
  ])('IPv4 %s to %s: %p', (source, destination, is) => {
    const packet = Buffer.from(`45 00 00 3c ${'00 '.repeat(8)}${source} ${destination}`.replaceAll(' ', ''), 'hex');
    expect(runs(program('IPv4'), packet)).toBe(is);
  });

  test('IPv6: every word of the addresses is compared', () => {
    const address = Buffer.from('fd440000000000010000000200000003', 'hex');
    const packet = (destination: Buffer): Buffer => Buffer.concat([Buffer.alloc(8), address, destination]);
    expect(runs(program('IPv6'), packet(address))).toBe(true);
    for (const at of [0, 5, 10, 15]) {
      const other = Buffer.from(address);
      other[at] = 0xee;
      expect(runs(program('IPv6'), packet(other))).toBe(false);
    }
  });
});

test('INVALID is dropped first, if the kernel would answer it with a reset', () => {
  const forward = (dropInvalid: boolean): readonly string[] =>
    renderFilterBase('IPv4', { ...iptablesSettings, dropInvalid }, false).get('KUBE-FORWARD') ?? [];
  expect(forward(true)[0]).toBe('-m conntrack --ctstate INVALID -j DROP');
  expect(forward(false)).toEqual(forward(true).slice(1));
});

test('with counters: packets that are dropped, and packets to a NodePort on 127.0.0.1, once the mark is cleared', () => {
  const counting = { ...iptablesSettings, hasNfacct: true };
  expect(renderFilterBase('IPv4', counting, true).get('KUBE-FORWARD')?.[0]).toBe(
    '-m conntrack --ctstate INVALID -m nfacct --nfacct-name ct_state_invalid_dropped_pkts -j DROP',
  );
  const postrouting = (localhost: boolean) => renderNatBase('IPv4', counting, localhost).get('KUBE-POSTROUTING') ?? [];
  expect(postrouting(true)[3]).toBe(
    '-m conntrack --ctorigdst 127.0.0.0/8 -m nfacct --nfacct-name localhost_nps_accepted_pkts',
  );
  expect(postrouting(false)).toEqual(renderNatBase('IPv4', iptablesSettings, true).get('KUBE-POSTROUTING'));
});

test.each(['nat', 'filter'] as const)('every chain that is made in %s is known as ours when it is read', (table) => {
  for (const hasBpf of [true, false]) {
    const made =
      table === 'nat'
        ? renderNatBase('IPv4', { ...iptablesSettings, hasBpf }, true)
        : renderFilterBase('IPv4', iptablesSettings, false);
    for (const chain of made.keys()) expect(isOurChain(table, chain)).toBe(true);
  }
});

test.each(['KUBE-KUBELET-CANARY', 'KUBE-IPTABLES-HINT', 'KUBE-ROUTER-FORWARD', 'DOCKER', 'PREROUTING'])(
  '%s is not ours',
  (chain) => {
    for (const table of ['nat', 'filter', 'mangle'] as const) expect(isOurChain(table, chain)).toBe(false);
  },
);
