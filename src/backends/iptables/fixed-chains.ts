/** Chains and jumps that do not depend on Services: kube-proxy's, in its words, but for the hairpin rules. */
import type { Family } from '../../model/address';
import { blockLocalnetRule, canaryRule, sharedChain } from '../../xtables/known-chains';
import type { Jump, TableName } from '../../xtables/rules';
import type { Chains } from './service-chains';

export interface IptablesSettings {
  /** 1 << masqueradeBit. */
  readonly masqueradeMark: number;
  /** nf_conntrack_tcp_be_liberal is off: INVALID packets would be answered with a reset, and are dropped instead. */
  readonly dropInvalid: boolean;
  /** Whether the kernel has xt_bpf, which tells hairpin packets whatever the endpoints; else there is a rule an endpoint. */
  readonly hasBpf: boolean;
  /** Whether the kernel has xt_recent, which remembers clients; without it there is no session affinity. */
  readonly hasRecent: boolean;
  /** Whether the kernel has xt_sctp; without it SCTP ports are left out, and the others work. */
  readonly hasSctp: boolean;
  /** Whether packetCounters are there and the kernel has xt_nfacct, which counts into them. */
  readonly hasNfacct: boolean;
}

/** kube-proxy's counters, by its names; its metrics tell them. */
export const packetCounters = {
  droppedInvalid: 'ct_state_invalid_dropped_pkts',
  acceptedOnLocalhost: 'localhost_nps_accepted_pkts',
} as const;

/** The tree of hairpin rules where there is no xt_bpf. */
export const hairpinChain = 'KUBE-SEP-hairpin';

const comment = (text: string): string => `-m comment --comment "${text}"`;
const countInto = (counter: keyof typeof packetCounters): string =>
  `-m nfacct --nfacct-name ${packetCounters[counter]}`;
const newOnly = '-m conntrack --ctstate NEW';

const canary = [canaryRule];

/** In the order of insertion: the last one ends on top. */
export function renderJumps(localhostNodePorts: boolean): readonly Jump[] {
  const jump = (table: TableName, from: Jump['from'], match: string, to: string): Jump => ({
    table,
    from,
    rule: `${match}${match === '' ? '' : ' '}-j ${to}`,
  });
  const portals = comment('kubernetes service portals');
  const outside = `${newOnly} ${comment('kubernetes externally-visible service portals')}`;
  const firewall = `${newOnly} ${comment('kubernetes load balancer firewall')}`;
  return [
    jump('filter', 'INPUT', outside, 'KUBE-EXTERNAL-SERVICES'),
    jump('filter', 'FORWARD', outside, 'KUBE-EXTERNAL-SERVICES'),
    jump('filter', 'INPUT', comment('kubernetes health check service ports'), 'KUBE-NODEPORTS'),
    jump('filter', 'FORWARD', `${newOnly} ${portals}`, 'KUBE-SERVICES'),
    jump('filter', 'OUTPUT', `${newOnly} ${portals}`, 'KUBE-SERVICES'),
    jump('filter', 'FORWARD', comment('kubernetes forwarding rules'), 'KUBE-FORWARD'),
    ...(['INPUT', 'OUTPUT', 'FORWARD'] as const).map((from) => jump('filter', from, firewall, 'KUBE-PROXY-FIREWALL')),
    jump('nat', 'OUTPUT', portals, 'KUBE-SERVICES'),
    jump('nat', 'PREROUTING', portals, 'KUBE-SERVICES'),
    jump('nat', 'POSTROUTING', comment('kubernetes postrouting rules'), 'KUBE-POSTROUTING'),
    ...(localhostNodePorts
      ? (['INPUT', 'OUTPUT'] as const).map((from) => jump('filter', from, '', 'KUBE-FIREWALL'))
      : []),
  ];
}

/**
 * A packet whose source is its destination once it was DNATed: a pod that reached itself through a VIP. One classic BPF program
 * answers for every endpoint, here and elsewhere; `-m bpf` reads from the IP header on.
 */
export function matchHairpin(family: Family): string {
  const program =
    family === 'IPv4'
      ? '6,32 0 0 12,7 0 0 0,32 0 0 16,29 0 1 0,6 0 0 1,6 0 0 0'
      : // A word of the source into X, a word of the destination against it, four times.
        `${4 * 4 + 2},${[0, 1, 2, 3]
          .map((word) => `32 0 0 ${8 + 4 * word},7 0 0 0,32 0 0 ${24 + 4 * word},29 0 ${1 + 4 * (3 - word)} 0`)
          .join(',')},6 0 0 1,6 0 0 0`;
  return `-m conntrack --ctstate DNAT -m bpf --bytecode "${program}"`;
}

export function renderNatBase(
  family: Family,
  { masqueradeMark, hasBpf, hasNfacct }: IptablesSettings,
  localhostNodePorts: boolean,
): Chains {
  const mark = `0x${masqueradeMark.toString(16)}`;
  const hairpin = hasBpf
    ? `${matchHairpin(family)} -j MARK --set-xmark ${mark}/${mark}`
    : `-m conntrack --ctstate DNAT -j ${hairpinChain}`;
  return new Map([
    ['KUBE-MARK-MASQ', [`-j MARK --set-xmark ${mark}/${mark}`]],
    [
      'KUBE-POSTROUTING',
      [
        hairpin,
        `-m mark ! --mark ${mark}/${mark} -j RETURN`,
        // Cleared before MASQUERADE: a packet that comes by again (through a tunnel, say) must not be masqueraded twice.
        `-j MARK --set-xmark ${mark}/0x0`,
        // Of what comes from this node, marked is what a Service got: one rule for every NodePort.
        ...(hasNfacct && localhostNodePorts
          ? [`-m conntrack --ctorigdst 127.0.0.0/8 ${countInto('acceptedOnLocalhost')}`]
          : []),
        `${comment('kubernetes service traffic requiring SNAT')} -j MASQUERADE --random-fully`,
      ],
    ],
    ['KUBE-PROXY-CANARY', canary],
  ]);
}

export function renderFilterBase(
  family: Family,
  { masqueradeMark, dropInvalid, hasBpf, hasNfacct }: IptablesSettings,
  localhostNodePorts: boolean,
): Chains {
  const mark = `0x${masqueradeMark.toString(16)}`;
  const chains: Chains = new Map();
  chains.set('KUBE-FORWARD', [
    ...(dropInvalid
      ? [`-m conntrack --ctstate INVALID ${hasNfacct ? `${countInto('droppedInvalid')} ` : ''}-j DROP`]
      : []),
    `${comment('kubernetes forwarding rules')} -m mark --mark ${mark}/${mark} -j ACCEPT`,
    `${comment('kubernetes forwarding conntrack rule')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    // Marked in postrouting only, so not by the rule above.
    ...(hasBpf ? [`${matchHairpin(family)} -j ACCEPT`] : []),
  ]);
  if (localhostNodePorts) chains.set(sharedChain, [blockLocalnetRule]);
  chains.set('KUBE-PROXY-CANARY', canary);
  return chains;
}
