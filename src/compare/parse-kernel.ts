/** Parses what the tools print into rules that can be compared with a Plan. */
import { type Family, familyOf, isLoopback } from '../model/address';
import { UserError } from '../model/user-error';
import type { Plan } from '../planner/plan';
import { type IpSets, parseIpSets } from '../trace/ip-sets';
import { parseTables } from '../trace/iptables-tables';
import { type IpvsServers, parseBoundAddresses, parseIpvsServers } from '../trace/ipvs-servers';
import { iptablesKernel, ipvsKernel, nftKernel, type TracedKernel } from '../trace/kernel';
import { parseNftTable } from '../trace/nft-ruleset';
import type { TracedNode } from '../trace/packet';

/** A table that iptables-save did not show in full. */
export interface UnreadTable {
  readonly table: 'nat' | 'filter' | 'mangle';
  readonly reason: string;
  /** Whether a service proxy's rules in it were read in another way. If not, nothing is known about them. */
  readonly isKnown: boolean;
}

/** Returns ``ip filter cannot be read in full: Table `filter' is incompatible ...; the service proxy's rules ...``. */
export function printUnread(family: Family, { table, reason, isKnown }: UnreadTable): string {
  const name = `${family === 'IPv4' ? 'ip' : 'ip6'} ${table}`;
  const rest = isKnown ? "the service proxy's rules in it were read from nf_tables" : 'its rules are unknown';
  return `${name} cannot be read in full: ${reason.replace(/\.$/, '')}; ${rest}`;
}

/** What the tools print for one family. Tools that print both families may print both here. */
export interface KernelTexts {
  /** iptables-save or ip6tables-save. */
  readonly iptablesSave?: string;
  /** The tables that iptables-save did not show in full. */
  readonly unread?: readonly UnreadTable[];
  /** ipvsadm -Sn */
  readonly ipvsadm?: string;
  /** ipset save */
  readonly ipset?: string;
  /** ip -o address show dev kube-ipvs0 */
  readonly addresses?: string;
  /** nft -j list ruleset */
  readonly nft?: string;
}

export interface ParsedKernel {
  readonly kernel: TracedKernel;
  /** The node's addresses of this family, as far as they are known. */
  readonly nodeAddresses: readonly string[];
  /** Whether the texts include the rules that masquerade and that let sources in. */
  readonly hasRules: boolean;
}

/** The name of kube-proxy's table. */
const nftTable = 'kube-proxy';

/**
 * Returns undefined if the texts have nothing of this family. Throws UserError if they are incomplete.
 *
 * @param hostAddresses the addresses of all of the node's interfaces, as far as they are known.
 */
export function parseKernel(
  texts: KernelTexts,
  plan: Plan,
  hostAddresses: readonly string[] = [],
): ParsedKernel | undefined {
  if (texts.nft !== undefined) return parseNft(texts.nft, plan, hostAddresses);
  if (texts.ipvsadm !== undefined) return parseIpvs(texts.ipvsadm, texts, plan, hostAddresses);
  if (texts.iptablesSave === undefined) return undefined;
  const hidden = texts.unread?.find(({ table, isKnown }) => table === 'nat' && !isKnown);
  if (hidden !== undefined)
    throw new UserError(`iptables-save (${plan.family}) does not show table nat: ${hidden.reason}`);
  if (/^:KUBE-IPVS-FILTER /m.test(texts.iptablesSave))
    throw new UserError('these are the rules of IPVS mode: the output of ipvsadm -Sn and ipset save is needed too');
  if (!/^:KUBE-SERVICES /m.test(texts.iptablesSave))
    throw new UserError(`no service proxy's rules: iptables-save (${plan.family}) has no chain KUBE-SERVICES`);
  const nodeAddresses = knownAddresses(plan);
  const tables = parseTables(texts.iptablesSave, { onlyProxy: true });
  const node = nodeOf(plan, nodeAddresses, hostAddresses);
  return { kernel: iptablesKernel(plan.family, tables, node), nodeAddresses, hasRules: true };
}

function parseNft(text: string, plan: Plan, hostAddresses: readonly string[]): ParsedKernel | undefined {
  const table = parseNftTable(text, plan.family === 'IPv4' ? 'ip' : 'ip6', nftTable);
  if (table === undefined) return undefined;
  const nodeAddresses = knownAddresses(plan);
  const node = nodeOf(plan, nodeAddresses, hostAddresses);
  return { kernel: nftKernel(plan.family, table, node), nodeAddresses, hasRules: true };
}

function parseIpvs(ipvsadm: string, texts: KernelTexts, plan: Plan, hostAddresses: readonly string[]): ParsedKernel {
  if (texts.ipset === undefined)
    throw new UserError('ipset save is needed in addition to ipvsadm -Sn: its sets show which addresses are VIPs');
  const servers = parseIpvsServers(ipvsadm);
  const sets = parseIpSets(texts.ipset);
  const boundAddresses = boundIn(texts.addresses, sets, plan);
  const nodeAddresses = [...new Set([...knownAddresses(plan), ...hostsOf(servers, sets, boundAddresses, plan)])];
  const tables = parseTables(texts.iptablesSave ?? '', { onlyProxy: true });
  const node = nodeOf(plan, nodeAddresses, hostAddresses);
  return {
    kernel: ipvsKernel(plan.family, { servers, sets, boundAddresses, tables }, node),
    nodeAddresses,
    hasRules: texts.iptablesSave !== undefined,
  };
}

/** Returns the addresses of kube-ipvs0. If they are not given, it takes them from the set that contains them. */
function boundIn(addresses: string | undefined, sets: IpSets, { family }: Plan): ReadonlySet<string> {
  if (addresses === undefined)
    return new Set(sets.get(family === 'IPv4' ? 'KUBE-IPVS-IPS' : 'KUBE-6-IPVS-IPS')?.elements.keys());
  return new Set(parseBoundAddresses(addresses).filter((address) => familyOf(address) === family));
}

/** Returns the addresses with virtual servers that are not VIPs: the node's own, on which NodePorts answer. */
function hostsOf(servers: IpvsServers, sets: IpSets, bound: ReadonlySet<string>, plan: Plan): string[] {
  const vips = new Set(bound);
  for (const { ports } of plan.services.values())
    for (const { frontends } of ports) for (const { address } of frontends) vips.add(address);
  const prefix = plan.family === 'IPv4' ? 'KUBE-' : 'KUBE-6-';
  return [...servers.values()].flatMap(({ end }) => {
    if (end === undefined || familyOf(end.address) !== plan.family || vips.has(end.address)) return [];
    const set = sets.get(`${prefix}NODE-PORT-${end.protocol.toUpperCase()}`);
    return end.protocol === 'sctp' || set?.elements.has(end.port.toString()) === true ? [end.address] : [];
  });
}

const anyAddress = { IPv4: '192.0.2.254', IPv6: '2001:db8::fffe' } as const;

/** Returns the node's known addresses, or one made-up address if none is known. */
function knownAddresses({ settings, family }: Plan): string[] {
  const answering = settings.nodePortAddresses[family];
  const known = [
    settings.nodeIPs[family] ?? [],
    (settings.hostAddresses ?? []).filter((address) => familyOf(address) === family),
    answering.kind === 'some' ? answering.addresses : [],
  ].flat();
  return known.length > 0 ? [...new Set(known)] : [anyAddress[family]];
}

function nodeOf(
  { settings, family }: Plan,
  addresses: readonly string[],
  hostAddresses: readonly string[],
): TracedNode {
  const own = new Set([...addresses, ...hostAddresses]);
  const isLocal = (address: string): boolean => isLoopback(address) || own.has(address);
  const source = settings.nodeIPs[family] ?? addresses[0] ?? anyAddress[family];
  return {
    isLocal,
    deviceTo: (address) => (isLocal(address) ? 'lo' : 'eth0'),
    sourceTo: (address) => (isLocal(address) ? address : source),
  };
}
