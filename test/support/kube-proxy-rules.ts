/**
 * What kube-proxy 1.36.2 in iptables mode writes, for ClusterIP and NodePort Services over TCP: its full restore, its
 * partial restore, and what it does before and after them. A test compares it with recordings of kube-proxy in test/recorded/iptables.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hash16 } from '../../src/backends/iptables/names';

export interface KubeProxyService {
  /** `default/web` */
  readonly name: string;
  readonly clusterIP: string;
  readonly port: number;
  readonly nodePort?: number;
  /** `10.244.1.2:8080` */
  readonly endpoints: readonly string[];
}

const clusterCIDR = '10.244.0.0/16';
const mark = '0x4000/0x4000';
const filterChains = [
  'KUBE-SERVICES',
  'KUBE-EXTERNAL-SERVICES',
  'KUBE-FORWARD',
  'KUBE-NODEPORTS',
  'KUBE-PROXY-FIREWALL',
  'KUBE-FIREWALL',
];
const natChains = ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ'];
const staleChain = /^:(KUBE-(?:SVC|SVL|EXT|FW|SEP)-\S+)/gm;

function chainsOf({ name, endpoints }: KubeProxyService): { svc: string; ext: string; sep: readonly string[] } {
  const hash = hash16(`${name}tcp`);
  const sep = endpoints.map((endpoint) => `KUBE-SEP-${hash16(`${name}tcp${endpoint}`)}`);
  return { svc: `KUBE-SVC-${hash}`, ext: `KUBE-EXT-${hash}`, sep };
}

function activeChains(service: KubeProxyService): string[] {
  if (service.endpoints.length === 0) return [];
  const { svc, ext, sep } = chainsOf(service);
  return [svc, ...(service.nodePort === undefined ? [] : [ext]), ...sep];
}

/** The rules in a Service's own chains. */
function serviceRules(service: KubeProxyService): string[] {
  const { name, clusterIP, port, nodePort, endpoints } = service;
  if (endpoints.length === 0) return [];
  const { svc, ext, sep } = chainsOf(service);
  const rules = [
    `-A ${svc} -m comment --comment "${name} cluster IP" -m tcp -p tcp -d ${clusterIP} --dport ${port} ! -s ${clusterCIDR} -j KUBE-MARK-MASQ`,
  ];
  if (nodePort !== undefined)
    rules.push(
      `-A ${ext} -m comment --comment "masquerade traffic for ${name} external destinations" -j KUBE-MARK-MASQ`,
      `-A ${ext} -j ${svc}`,
    );
  for (const [i, endpoint] of endpoints.entries()) {
    const left = endpoints.length - i;
    const dice = left === 1 ? '' : `-m statistic --mode random --probability ${(1 / left).toFixed(10)} `;
    rules.push(`-A ${svc} -m comment --comment "${name} -> ${endpoint}" ${dice}-j ${sep[i] ?? ''}`);
    rules.push(
      `-A ${sep[i] ?? ''} -m comment --comment ${name} -s ${endpoint.split(':')[0] ?? ''} -j KUBE-MARK-MASQ`,
      `-A ${sep[i] ?? ''} -m comment --comment ${name} -m tcp -p tcp -j DNAT --to-destination ${endpoint}`,
    );
  }
  return rules;
}

/** The rules that lead to a Service. Every sync writes all of them. */
function dispatchRules(service: KubeProxyService): { nat: string[]; filter: string[] } {
  const { name, clusterIP, port, nodePort, endpoints } = service;
  const to = `-m tcp -p tcp -d ${clusterIP} --dport ${port}`;
  if (endpoints.length > 0) {
    const { svc, ext } = chainsOf(service);
    const nat = [`-A KUBE-SERVICES -m comment --comment "${name} cluster IP" ${to} -j ${svc}`];
    if (nodePort !== undefined)
      nat.push(`-A KUBE-NODEPORTS -m comment --comment ${name} -m tcp -p tcp --dport ${nodePort} -j ${ext}`);
    return { nat, filter: [] };
  }
  const comment = `-m comment --comment "${name} has no endpoints"`;
  const filter = [`-A KUBE-SERVICES ${comment} ${to} -j REJECT`];
  if (nodePort !== undefined)
    filter.push(
      `-A KUBE-EXTERNAL-SERVICES ${comment} -m addrtype --dst-type LOCAL -m tcp -p tcp --dport ${nodePort} -j REJECT`,
    );
  return { nat: [], filter };
}

/**
 * Input of `iptables-restore --noflush --counters`. With `changed` it is a partial sync: only the own chains of those Services are
 * written. `savedNat` is what `iptables-save -t nat` showed: chains in it that no Service has are deleted.
 */
export function printSync(
  services: readonly KubeProxyService[],
  savedNat: string,
  changed: readonly KubeProxyService[] = services,
): string {
  const active = new Set(services.flatMap(activeChains));
  const stale = [...savedNat.matchAll(staleChain)]
    .map(([, chain]) => chain ?? '')
    .filter((chain) => !active.has(chain));
  const dispatch = services.map(dispatchRules);
  const declare = (chains: readonly string[]): string[] => chains.map((chain) => `:${chain} - [0:0]`);
  return [
    '*filter',
    ...declare(filterChains),
    '-A KUBE-FIREWALL -m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
    ...dispatch.flatMap(({ filter }) => filter),
    '-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
    `-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark ${mark} -j ACCEPT`,
    '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    'COMMIT',
    '*nat',
    ...declare([...natChains, ...changed.flatMap(activeChains), ...stale]),
    `-A KUBE-POSTROUTING -m mark ! --mark ${mark} -j RETURN`,
    '-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000',
    '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    '-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000',
    ...dispatch.flatMap(({ nat }) => nat),
    ...changed.flatMap(serviceRules),
    ...stale.map((chain) => `-X ${chain}`),
    '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
    'COMMIT',
    '',
  ].join('\n');
}

/** Only the chains of Services, in calls that stay fast. With it a test makes a large rule set of kube-proxy's. */
export function* printServiceChains(services: readonly KubeProxyService[], perCall: number): Generator<string> {
  for (let at = 0; at < services.length; at += perCall) {
    const some = services.slice(at, at + perCall);
    const chains = ['KUBE-MARK-MASQ', ...some.flatMap(activeChains)].map((chain) => `:${chain} - [0:0]`);
    yield ['*nat', ...chains, ...some.flatMap(serviceRules), 'COMMIT', ''].join('\n');
  }
}

const newOnly = ['-m', 'conntrack', '--ctstate', 'NEW'];
const says = (text: string): string[] => ['-m', 'comment', '--comment', text];

/** From a built-in chain to one of kube-proxy's: `rule` is what follows `-I FROM`. */
interface Jump {
  readonly table: string;
  readonly from: string;
  readonly rule: readonly string[];
  readonly to: string;
}

function jump(table: string, from: string, match: readonly string[], to: string): Jump {
  return { table, from, rule: [...match, '-j', to], to };
}

const portals = says('kubernetes service portals');
const outside = [...newOnly, ...says('kubernetes externally-visible service portals')];
const firewall = [...newOnly, ...says('kubernetes load balancer firewall')];

/** A full sync inserts the jumps that are missing, in this order. */
export const jumps: readonly Jump[] = [
  jump('filter', 'INPUT', outside, 'KUBE-EXTERNAL-SERVICES'),
  jump('filter', 'FORWARD', outside, 'KUBE-EXTERNAL-SERVICES'),
  jump('filter', 'INPUT', says('kubernetes health check service ports'), 'KUBE-NODEPORTS'),
  jump('filter', 'FORWARD', [...newOnly, ...portals], 'KUBE-SERVICES'),
  jump('filter', 'OUTPUT', [...newOnly, ...portals], 'KUBE-SERVICES'),
  jump('filter', 'FORWARD', says('kubernetes forwarding rules'), 'KUBE-FORWARD'),
  jump('filter', 'INPUT', firewall, 'KUBE-PROXY-FIREWALL'),
  jump('filter', 'OUTPUT', firewall, 'KUBE-PROXY-FIREWALL'),
  jump('filter', 'FORWARD', firewall, 'KUBE-PROXY-FIREWALL'),
  jump('nat', 'OUTPUT', portals, 'KUBE-SERVICES'),
  jump('nat', 'PREROUTING', portals, 'KUBE-SERVICES'),
  jump('nat', 'POSTROUTING', says('kubernetes postrouting rules'), 'KUBE-POSTROUTING'),
  jump('filter', 'INPUT', [], 'KUBE-FIREWALL'),
  jump('filter', 'OUTPUT', [], 'KUBE-FIREWALL'),
];

/** The rule in every table by which it detects a flush. */
export const canaryTables = ['mangle', 'nat', 'filter'] as const;

export const recordings = readdirSync(join('test', 'recorded', 'iptables'))
  .filter((file) => file.endsWith('.objects.json'))
  .map((file) => file.slice(0, -'.objects.json'.length));

/** What iptables-save (`v4.rules`, `v6.rules`) showed on a node, or the cluster of that moment (`objects.json`). */
export function readRecording(name: string, kind: 'v4.rules' | 'v6.rules' | 'objects.json'): string {
  const text = readFileSync(join('test', 'recorded', 'iptables', `${name}.${kind}`), 'utf8');
  return kind === 'objects.json' ? text : withoutCounters(text);
}

/** Without `-m nfacct`: its counters are objects of their own, and a new namespace does not have them. */
export function withoutCounters(rules: string): string {
  return rules
    .split('\n')
    .filter((line) => !line.includes('localhost_nps_accepted_pkts'))
    .join('\n')
    .replaceAll(/ -m nfacct --nfacct-name +\S+/g, '');
}
