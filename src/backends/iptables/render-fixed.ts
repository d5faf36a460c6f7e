/** Chains and jumps that do not depend on Services. They are the same as kube-proxy's, except for the hairpin rules. */
import type { Family } from '../../model/address';
import { blockLocalnetRule, canaryRule, sharedChain } from '../../xtables/known-chains';
import {
  type Chains,
  comment,
  forwardJump,
  jump,
  natJumps,
  renderForwardAccepts,
  renderPostrouting,
  setMasqueradeMark,
} from '../../xtables/common-rules';
import type { Jump } from '../../xtables/rules';
import type { IptablesSettings } from './settings';

/** kube-proxy's nfacct counters, by its names. The metrics report them. */
export const packetCounters = {
  droppedInvalid: 'ct_state_invalid_dropped_pkts',
  acceptedOnLocalhost: 'localhost_nps_accepted_pkts',
} as const;

/** The root of the tree of hairpin rules that is used when there is no xt_bpf. */
export const hairpinChain = 'KUBE-SEP-hairpin';

const countInto = (counter: keyof typeof packetCounters): string =>
  `-m nfacct --nfacct-name ${packetCounters[counter]}`;
const newOnly = '-m conntrack --ctstate NEW';

const canary = [canaryRule];

/** In the order of insertion. The last one ends up on top. */
export function renderJumps(localhostNodePorts: boolean): readonly Jump[] {
  const portals = comment('kubernetes service portals');
  const outside = `${newOnly} ${comment('kubernetes externally-visible service portals')}`;
  const firewall = `${newOnly} ${comment('kubernetes load balancer firewall')}`;
  return [
    jump('filter', 'INPUT', outside, 'KUBE-EXTERNAL-SERVICES'),
    jump('filter', 'FORWARD', outside, 'KUBE-EXTERNAL-SERVICES'),
    jump('filter', 'INPUT', comment('kubernetes health check service ports'), 'KUBE-NODEPORTS'),
    jump('filter', 'FORWARD', `${newOnly} ${portals}`, 'KUBE-SERVICES'),
    jump('filter', 'OUTPUT', `${newOnly} ${portals}`, 'KUBE-SERVICES'),
    forwardJump,
    ...(['INPUT', 'OUTPUT', 'FORWARD'] as const).map((from) => jump('filter', from, firewall, 'KUBE-PROXY-FIREWALL')),
    ...natJumps,
    ...(localhostNodePorts
      ? (['INPUT', 'OUTPUT'] as const).map((from) => jump('filter', from, '', 'KUBE-FIREWALL'))
      : []),
  ];
}

/**
 * Matches a packet whose source is also its destination after DNAT: a pod that reaches itself through a VIP. One classic BPF program
 * serves all endpoints, on this node and elsewhere. `-m bpf` sees the packet from its IP header on.
 */
export function matchHairpin(family: Family): string {
  const program =
    family === 'IPv4'
      ? '6,32 0 0 12,7 0 0 0,32 0 0 16,29 0 1 0,6 0 0 1,6 0 0 0'
      : // Four times: load a word of the source into X, and compare a word of the destination with it.
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
  const setMark = setMasqueradeMark(masqueradeMark);
  const hairpin = hasBpf ? `${matchHairpin(family)} ${setMark}` : `-m conntrack --ctstate DNAT -j ${hairpinChain}`;
  // The marked packets that this node itself sends are those to Services. So one rule counts every NodePort.
  const beforeMasquerade =
    hasNfacct && localhostNodePorts ? [`-m conntrack --ctorigdst 127.0.0.0/8 ${countInto('acceptedOnLocalhost')}`] : [];
  return new Map([
    ['KUBE-MARK-MASQ', [setMark]],
    ['KUBE-POSTROUTING', renderPostrouting(masqueradeMark, { hairpin, beforeMasquerade })],
    ['KUBE-PROXY-CANARY', canary],
  ]);
}

export function renderFilterBase(
  family: Family,
  { masqueradeMark, dropInvalid, hasBpf, hasNfacct }: IptablesSettings,
  localhostNodePorts: boolean,
): Chains {
  const chains: Chains = new Map();
  chains.set('KUBE-FORWARD', [
    ...(dropInvalid
      ? [`-m conntrack --ctstate INVALID ${hasNfacct ? `${countInto('droppedInvalid')} ` : ''}-j DROP`]
      : []),
    ...renderForwardAccepts(masqueradeMark),
    // Hairpin packets get their mark only in postrouting, so the rules above do not accept them.
    ...(hasBpf ? [`${matchHairpin(family)} -j ACCEPT`] : []),
  ]);
  if (localhostNodePorts) chains.set(sharedChain, [blockLocalnetRule]);
  chains.set('KUBE-PROXY-CANARY', canary);
  return chains;
}
