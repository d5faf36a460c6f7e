/** The iptables rules that every mode has, as iptables-save prints them, without `-A CHAIN`. */
import type { LocalDetector } from '../model/local-detector';
import type { Jump, TableName } from './rules';

/** The rules of each chain. */
export type Chains = Map<string, readonly string[]>;

/** The rules of each chain of each table. */
export type RenderedTables = Readonly<Record<TableName, Chains>>;

export const comment = (text: string): string => `-m comment --comment "${text}"`;
export const markMasquerade = '-j KUBE-MARK-MASQ';

/** `match` may be empty. */
export function jump(table: TableName, from: Jump['from'], match: string, to: string): Jump {
  return { table, from, rule: `${match}${match === '' ? '' : ' '}-j ${to}` };
}

/** They lead packets to VIPs to KUBE-SERVICES, and packets to be masqueraded to KUBE-POSTROUTING. In the order of insertion. */
export const natJumps: readonly Jump[] = [
  jump('nat', 'OUTPUT', comment('kubernetes service portals'), 'KUBE-SERVICES'),
  jump('nat', 'PREROUTING', comment('kubernetes service portals'), 'KUBE-SERVICES'),
  jump('nat', 'POSTROUTING', comment('kubernetes postrouting rules'), 'KUBE-POSTROUTING'),
];

export const forwardJump = jump('filter', 'FORWARD', comment('kubernetes forwarding rules'), 'KUBE-FORWARD');

/** Matches packets from this node's pods, or all others. Returns undefined when the detector cannot tell them apart. */
export function matchLocalPods(detector: LocalDetector, isLocal: boolean): string | undefined {
  const not = isLocal ? '' : '! ';
  switch (detector.kind) {
    case 'none':
      return undefined;
    case 'cidr':
      return `${not}-s ${detector.cidr}`;
    case 'interface':
      return `${not}-i ${detector.name}`;
    case 'interface-prefix':
      return `${not}-i ${detector.prefix}+`;
  }
}

/** `masqueradeMark` is 1 << masqueradeBit, here and below. */
export function setMasqueradeMark(masqueradeMark: number): string {
  const mark = hex(masqueradeMark);
  return `-j MARK --set-xmark ${mark}/${mark}`;
}

export interface PostroutingRules {
  /** Marks or masquerades the connections of pods to themselves. */
  readonly hairpin: string;
  /** Rules that see each packet just before it is masqueraded. */
  readonly beforeMasquerade?: readonly string[];
}

/** KUBE-POSTROUTING */
export function renderPostrouting(
  masqueradeMark: number,
  { hairpin, beforeMasquerade = [] }: PostroutingRules,
): readonly string[] {
  const mark = hex(masqueradeMark);
  return [
    hairpin,
    `-m mark ! --mark ${mark}/${mark} -j RETURN`,
    // The mark is cleared before MASQUERADE. A packet that comes by again, for example through a tunnel, must not be masqueraded twice.
    `-j MARK --set-xmark ${mark}/0x0`,
    ...beforeMasquerade,
    `${comment('kubernetes service traffic requiring SNAT')} -j MASQUERADE --random-fully`,
  ];
}

/** What KUBE-FORWARD accepts: marked packets, and those of known connections. */
export function renderForwardAccepts(masqueradeMark: number): readonly string[] {
  const mark = hex(masqueradeMark);
  return [
    `${comment('kubernetes forwarding rules')} -m mark --mark ${mark}/${mark} -j ACCEPT`,
    `${comment('kubernetes forwarding conntrack rule')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
  ];
}

function hex(mark: number): string {
  return `0x${mark.toString(16)}`;
}
