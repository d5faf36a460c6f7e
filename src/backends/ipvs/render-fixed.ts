/**
 * The iptables rules of IPVS mode. There are as many for 10,000 Services as for one, because sets tell which packets they match. All of
 * them are always there, because a set may be empty. The chains and sets of nat and filter are kube-proxy's, so that the clean-up of
 * either proxy knows the other's. IPVS stands between filter's INPUT and nat's POSTROUTING, or between nat's OUTPUT and filter's:
 *
 *   from outside or pods  nat PREROUTING -> mangle INPUT -> filter INPUT -> IPVS -> mangle OUTPUT -> filter OUTPUT -> nat POSTROUTING
 *   from the node         mangle OUTPUT -> nat OUTPUT -> IPVS -> mangle OUTPUT -> filter OUTPUT -> nat POSTROUTING
 */
import type { Family } from '../../model/address';
import type { Plan } from '../../planner/plan';
import {
  type Chains,
  comment,
  forwardJump,
  jump,
  markMasquerade,
  matchLocalPods,
  natJumps,
  type RenderedTables,
  renderForwardAccepts,
  renderPostrouting,
  setMasqueradeMark,
} from '../../xtables/common-rules';
import { canaryRule } from '../../xtables/known-chains';
import type { Jump } from '../../xtables/rules';
import type { SetName } from './sets/names';
import { type MarkLayout, planMarkLayout } from './sets/marks';
import type { IpvsSettings } from './settings';

/** The name of a set in the kernel. */
type NameOf = (set: SetName) => string;

/** In the order of insertion. The last one ends up on top. */
export function renderJumps({ hasSetMarks }: Pick<IpvsSettings, 'hasSetMarks'>): readonly Jump[] {
  const access = comment('kubernetes ipvs access filter');
  const firewall = comment('kube-proxy firewall rules');
  const local = comment('kubernetes clients on this node');
  return [
    ...natJumps,
    forwardJump,
    jump('filter', 'INPUT', comment('kubernetes health check rules'), 'KUBE-NODE-PORT'),
    jump('filter', 'INPUT', firewall, 'KUBE-PROXY-FIREWALL'),
    jump('filter', 'FORWARD', firewall, 'KUBE-PROXY-FIREWALL'),
    jump('filter', 'INPUT', access, 'KUBE-IPVS-FILTER'),
    jump('mangle', 'OUTPUT', `${local} ${firstPacket}`, 'KUBE-IPVS-OUT'),
    ...(hasSetMarks ? [jump('mangle', 'INPUT', `${local} ${firstPacket}`, 'KUBE-IPVS-IN')] : []),
  ];
}

export function renderRules(plan: Plan, settings: IpvsSettings, nameOf: NameOf): RenderedTables {
  return {
    nat: renderNat(plan, settings.masqueradeMark, nameOf),
    filter: renderFilter(plan.family, settings.masqueradeMark, nameOf),
    mangle: renderMangle(plan, settings, nameOf),
  };
}

function matchSet(name: string, directions: string): string {
  return `-m set --match-set ${name} ${directions}`;
}

function renderNat(plan: Plan, masqueradeMark: number, nameOf: NameOf): Chains {
  const vip = (set: SetName, directions = 'dst,dst'): string => matchSet(nameOf(set), directions);
  const external = comment('Kubernetes service external ip + port for masquerade and filter purpose');
  return new Map<string, readonly string[]>([
    ['KUBE-MARK-MASQ', [setMasqueradeMark(masqueradeMark)]],
    [
      'KUBE-SERVICES',
      [
        `-s ${plan.family === 'IPv4' ? '127.0.0.0/8' : '::1/128'} -j RETURN`,
        `${comment('Kubernetes service lb portal')} ${vip('KUBE-LOAD-BALANCER')} -j KUBE-LOAD-BALANCER`,
        clusterIPMark(plan, nameOf('KUBE-CLUSTER-IP')),
        `${external} ${vip('KUBE-EXTERNAL-IP')} ${markMasquerade}`,
        // VIPs are accepted before the node ports. The sets of node ports have only the port, and a VIP may have the same one.
        ...(['KUBE-CLUSTER-IP', 'KUBE-LOAD-BALANCER', 'KUBE-EXTERNAL-IP', 'KUBE-EXTERNAL-IP-LOCAL'] as const).map(
          (set) => `${vip(set)} -j ACCEPT`,
        ),
        '-m addrtype --dst-type LOCAL -j KUBE-NODE-PORT',
      ],
    ],
    [
      'KUBE-LOAD-BALANCER',
      [
        `${comment('Kubernetes service load balancer ip + port with externalTrafficPolicy=local')} ${vip('KUBE-LOAD-BALANCER-LOCAL')} -j RETURN`,
        markMasquerade,
      ],
    ],
    [
      'KUBE-NODE-PORT',
      [
        ...nodePortRules('tcp', vip('KUBE-NODE-PORT-LOCAL-TCP', 'dst'), vip('KUBE-NODE-PORT-TCP', 'dst')),
        ...nodePortRules('udp', vip('KUBE-NODE-PORT-LOCAL-UDP', 'dst'), vip('KUBE-NODE-PORT-UDP', 'dst')),
        ...nodePortRules('sctp', vip('KUBE-NODE-PORT-LOCAL-SCTP-HASH'), vip('KUBE-NODE-PORT-SCTP-HASH')),
      ],
    ],
    [
      'KUBE-POSTROUTING',
      renderPostrouting(masqueradeMark, {
        hairpin: `${comment('Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose')} ${vip('KUBE-LOOP-BACK', 'dst,dst,src')} -j MASQUERADE`,
      }),
    ],
    ['KUBE-PROXY-CANARY', [canaryRule]],
  ]);
}

/**
 * Without a way to tell pods, it masquerades the node's own connections. Their source is the VIP itself, because kube-ipvs0 has it.
 */
function clusterIPMark({ family, settings }: Plan, set: string): string {
  const others = settings.masqueradeAll ? '' : matchLocalPods(settings.localDetector[family], false);
  const text = comment('Kubernetes service cluster ip + port for masquerade purpose');
  const match = `${text} ${matchSet(set, others === undefined ? 'src,dst' : 'dst,dst')} ${markMasquerade}`;
  return others === undefined || others === '' ? match : `${others} ${match}`;
}

function nodePortRules(protocol: 'tcp' | 'udp' | 'sctp', local: string, all: string): string[] {
  const of = `Kubernetes nodeport ${protocol.toUpperCase()} port`;
  return [
    `-p ${protocol} ${comment(`${of} with externalTrafficPolicy=local`)} ${local} -j RETURN`,
    `-p ${protocol} ${comment(`${of} for masquerade purpose`)} ${all} ${markMasquerade}`,
  ];
}

function renderFilter(family: Family, masqueradeMark: number, nameOf: NameOf): Chains {
  const unreachable = family === 'IPv4' ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';
  const healthPort = matchSet(nameOf('KUBE-HEALTH-CHECK-NODE-PORT'), 'dst');
  return new Map<string, readonly string[]>([
    ['KUBE-FORWARD', renderForwardAccepts(masqueradeMark)],
    ['KUBE-NODE-PORT', inputAccepts(nameOf)],
    [
      'KUBE-PROXY-FIREWALL',
      [
        `${comment('Kubernetes service load balancer ip + port for load balancer with sourceRange')} ${matchSet(nameOf('KUBE-LOAD-BALANCER-FW'), 'dst,dst')} -j KUBE-SOURCE-RANGES-FIREWALL`,
      ],
    ],
    ['KUBE-SOURCE-RANGES-FIREWALL', sourceRangeRules(nameOf)],
    [
      'KUBE-IPVS-FILTER',
      [
        // Packets with the mark come from clients on this node, which are led to endpoints on other nodes.
        `-m conntrack --ctstate NEW ${notMarked(planMarkLayout(family, masqueradeMark))} ${matchSet(nameOf('KUBE-IPVS-DROP'), 'dst,dst')} -j DROP`,
        ...served.map((set) => `${matchSet(nameOf(set), 'dst,dst')} -j RETURN`),
        `${healthPort} -j RETURN`,
        // No Service has this port of a VIP. A program that listens on all of the node's addresses must not answer.
        `-m conntrack --ctstate NEW ${matchSet(nameOf('KUBE-IPVS-IPS'), 'dst')} -j REJECT --reject-with ${unreachable}`,
      ],
    ],
    ['KUBE-PROXY-CANARY', [canaryRule]],
  ]);
}

const served = ['KUBE-LOAD-BALANCER', 'KUBE-CLUSTER-IP', 'KUBE-EXTERNAL-IP', 'KUBE-EXTERNAL-IP-LOCAL'] as const;

/**
 * Accepts packets to virtual servers whatever the policy of INPUT is. In iptables mode INPUT does not see them (kubernetes #98465,
 * #97225). A NodePort is accepted only on the addresses that have its server, so that no other port is opened.
 */
function inputAccepts(nameOf: NameOf): string[] {
  const nodePort = (set: SetName): string =>
    `${matchSet(nameOf(set), 'dst')} ${matchSet(nameOf('KUBE-IPVS-NODE-IPS'), 'dst')}`;
  return [
    `${comment('Kubernetes health check node port')} ${matchSet(nameOf('KUBE-HEALTH-CHECK-NODE-PORT'), 'dst')} -j ACCEPT`,
    // So source ranges are checked first, whatever the order of the jumps in INPUT is.
    '-j KUBE-PROXY-FIREWALL',
    ...served.map((set) => `${matchSet(nameOf(set), 'dst,dst')} -j ACCEPT`),
    `-p tcp ${nodePort('KUBE-NODE-PORT-TCP')} -j ACCEPT`,
    `-p udp ${nodePort('KUBE-NODE-PORT-UDP')} -j ACCEPT`,
    `-p sctp ${matchSet(nameOf('KUBE-NODE-PORT-SCTP-HASH'), 'dst,dst')} -j ACCEPT`,
  ];
}

function sourceRangeRules(nameOf: NameOf): string[] {
  const range = comment('Kubernetes service load balancer ip + port + source cidr for packet filter purpose');
  const itself = comment('Kubernetes service load balancer ip + port + source IP for packet filter purpose');
  return [
    `${range} ${matchSet(nameOf('KUBE-LOAD-BALANCER-SOURCE-CIDR'), 'dst,dst,src')} -j RETURN`,
    `${itself} ${matchSet(nameOf('KUBE-LOAD-BALANCER-SOURCE-IP'), 'dst,dst,src')} -j RETURN`,
    '-j DROP',
  ];
}

function notMarked({ base, mask }: MarkLayout): string {
  return `-m mark ! --mark 0x${base.toString(16)}/0x${mask.toString(16)}`;
}

/**
 * Matches only the first packet of a connection, and not its retransmissions. IPVS remembers the connection. So in all other packets
 * the mark bits of other programs stay as they are.
 */
const firstPacket = '-m conntrack ! --ctstatus CONFIRMED';

/**
 * The rules for clients on this node. kube-proxy has none of them, and does nothing in mangle.
 *
 * Packets of pods (in INPUT) and of the node itself (in OUTPUT) get the mark that KUBE-IPVS-LOCAL has for the VIP. By this mark IPVS
 * finds the endpoints of the whole cluster. The translated packets come through OUTPUT again. There the mark is removed, and packets of
 * the node itself are marked for masquerading. A mark is given only if KUBE-LOOP-BACK has the VIP too. A kube-proxy that takes over
 * deletes unknown entries from its sets, and so ends these rules' effect, which it could not keep up to date.
 *
 * Where no endpoint on this node may serve, the node's own packets are dropped here, before IPVS would refuse them. KUBE-LOOP-BACK has
 * those VIPs for the same reason.
 *
 * Source ranges hold for the node itself too. filter's OUTPUT no longer sees the VIP in its packets. (kube-proxy has one rule for each
 * VIP there, KUBE-IPVS-OUT-FILTER.)
 */
function renderMangle(plan: Plan, { masqueradeMark, hasSetMarks }: IpvsSettings, nameOf: NameOf): Chains {
  const layout = planMarkLayout(plan.family, masqueradeMark);
  const { base, mask } = layout;
  const marked = `-m mark --mark 0x${base.toString(16)}/0x${mask.toString(16)}`;
  const isKept = matchSet(nameOf('KUBE-LOOP-BACK'), 'dst,dst,dst');
  const give = `${isKept} -j SET --map-set ${nameOf('KUBE-IPVS-LOCAL')} dst,dst --map-mark`;
  const restricted = `${matchSet(nameOf('KUBE-LOAD-BALANCER-FW'), 'dst,dst')} -j KUBE-IPVS-RANGES`;
  const drop = `${notMarked(layout)} ${isKept} ${matchSet(nameOf('KUBE-IPVS-DROP'), 'dst,dst')} -j DROP`;
  const pods = matchLocalPods(plan.settings.localDetector[plan.family], true);
  const chains: Chains = new Map([
    ['KUBE-IPVS-OUT', [restricted, drop]],
    ['KUBE-IPVS-RANGES', sourceRangeRules(nameOf)],
  ]);
  if (!hasSetMarks) return chains;
  chains.set('KUBE-IPVS-IN', pods === undefined ? [] : [`${pods} ${give}`]);
  chains.set('KUBE-IPVS-OUT', [
    `${marked} -m addrtype --src-type LOCAL -j MARK --set-xmark 0x${masqueradeMark.toString(16)}/0xffffffff`,
    `${marked} -j MARK --set-xmark 0x0/0xffffffff`,
    restricted,
    give,
    drop,
  ]);
  return chains;
}
