/** The service rules of one family on a node, with the same interface whatever mode wrote them. */
import { type Cidr, type Family, familyOf, isLoopback, parseCidr } from '../model/address';
import type { Rule } from './iptables-rule';
import type { TracedTable, TracedTables } from './iptables-tables';
import type { IpSets } from './ip-sets';
import type { NftTable } from './nft-ruleset';
import type { ProtocolName } from '../model/protocol';
import type { Connection, MatchContext, Outcome, TracedNode } from './packet';
import { kindOfNftTable, type RulesKind, rulesKinds } from './rules-kind';
import { traceConnection } from './trace-iptables';
import { type IpvsState, ownAddresses, traceIpvsConnection } from './trace-ipvs';
import { traceNftConnection } from './trace-nft';

/** What rules are about: an address, a protocol and a port. */
export interface Destination {
  /** '' for the node's own addresses. */
  readonly address: string;
  readonly protocol: ProtocolName;
  readonly port: number;
}

export interface TracedKernel {
  readonly kind: RulesKind;
  readonly family: Family;
  /** Returns all outcomes of a new connection, the most probable first. */
  trace(connection: Connection, onSource?: MatchContext['onSource']): Outcome[];
  /** Whether the node itself has the address. Packets that come in for it are delivered and never pass POSTROUTING. */
  isLocal(address: string): boolean;
  /** Every destination that a rule, an element of a set or a virtual server is for. */
  readonly destinations: readonly Destination[];
  /** Whether the address has a virtual server here but belongs to another machine. Packets to it go there, except the node's own. */
  readonly isElsewhere?: (address: string) => boolean;
  /** The health check ports of Services that are let in. Undefined if the mode has no rules for them. */
  readonly healthCheckPorts: ReadonlySet<number> | undefined;
}

export function iptablesKernel(family: Family, tables: TracedTables, node: TracedNode): TracedKernel {
  const { destinations, accepted } = findDestinations(tables);
  return {
    kind: rulesKinds.iptables,
    family,
    trace: (connection, onSource) => traceConnection(tables, node, connection, onSource),
    isLocal: (address) => node.isLocal(address),
    destinations,
    healthCheckPorts: accepted,
  };
}

export function ipvsKernel(family: Family, state: IpvsState, node: TracedNode): TracedKernel {
  const ofFamily = (address: string): boolean => familyOf(address) === family;
  const served = [...state.servers.values()].flatMap(({ end }) =>
    end === undefined || !ofFamily(end.address)
      ? []
      : [{ ...end, address: node.isLocal(end.address) ? '' : end.address }],
  );
  const { destinations, healthCheckPorts } = readSets(state.sets, family);
  const isLocal = (address: string): boolean => state.boundAddresses.has(address) || node.isLocal(address);
  const elsewhere = new Set([...state.servers.values()].flatMap(({ end }) => end?.address ?? []));
  return {
    kind: rulesKinds.ipvs,
    family,
    isElsewhere: (address) => elsewhere.has(address) && !isLocal(address),
    trace: (connection, onSource) => traceIpvsConnection(state, node, connection, onSource),
    isLocal: (address) => ownAddresses(state, node).isLocal(address),
    destinations: distinct([...served, ...destinations]),
    healthCheckPorts,
  };
}

export function nftKernel(family: Family, table: NftTable, node: TracedNode): TracedKernel {
  return {
    kind: kindOfNftTable(table.sets.keys()),
    family,
    trace: (connection, onSource) => traceNftConnection(table, node, connection, onSource),
    isLocal: (address) => node.isLocal(address),
    destinations: distinct(
      [...table.sets.values()].flatMap((set) => [...set.keys()].flatMap((key) => parseKey(key) ?? [])),
    ),
    healthCheckPorts: undefined,
  };
}

function isProtocol(text: string | undefined): text is ProtocolName {
  return text === 'tcp' || text === 'udp' || text === 'sctp';
}

function distinct(destinations: readonly Destination[]): Destination[] {
  return [...new Map(destinations.map((one) => [`${one.address} ${one.protocol} ${one.port}`, one])).values()];
}

/** `10.96.0.10 . tcp . 80` or `tcp . 30080`. */
function parseKey(key: string): Destination | undefined {
  const parts = key.split(' . ');
  const [address = '', protocol, port] = parts.length === 2 ? ['', ...parts] : parts;
  return parts.length > 3 || !isProtocol(protocol) ? undefined : { address, protocol, port: Number(port) };
}

const nodePortSet = /^KUBE-(?:6-)?NODE-PORT-(?:LOCAL-)?(TCP|UDP)$/;

function readSets(
  sets: IpSets,
  family: Family,
): { readonly destinations: Destination[]; readonly healthCheckPorts: ReadonlySet<number> } {
  const destinations: Destination[] = [];
  const healthCheckPorts = new Set<number>();
  for (const [name, { elements }] of sets) {
    if (name.startsWith('KUBE-6-') !== (family === 'IPv6') || !name.startsWith('KUBE-')) continue;
    const ofNode = nodePortSet.exec(name)?.[1]?.toLowerCase();
    for (const entry of elements.keys()) {
      if (isProtocol(ofNode)) destinations.push({ address: '', protocol: ofNode, port: Number(entry) });
      else if (/HEALTH-CHECK/.test(name)) healthCheckPorts.add(Number(entry));
      else if (!/LOOP-BACK|NODE-PORT|IPVS-/.test(name)) destinations.push(...parseEntry(entry));
    }
  }
  return { destinations, healthCheckPorts };
}

/** Reads `10.96.0.10,tcp:80`, whatever follows it. */
function parseEntry(entry: string): Destination[] {
  const [, address = '', protocol, port] = /^([^,]+),(\w+):(\d+)/.exec(entry) ?? [];
  return isProtocol(protocol) ? [{ address, protocol, port: Number(port) }] : [];
}

/** What all rules on the way to a chain require of the destination. */
interface Required {
  readonly network: Cidr | undefined;
  readonly protocol: string | undefined;
  readonly ports: readonly [number, number] | undefined;
}
const noRequirement: Required = { network: undefined, protocol: undefined, ports: undefined };

/** A walk through the dispatch from one hook of a table. */
interface DispatchWalk {
  readonly table: TracedTable;
  /** The chains that were visited, each with the requirements on the way to it. */
  readonly visited: Set<string>;
  readonly onFound: (destination: Destination, rule: Rule) => void;
}

/** Walks the dispatch in all tables, down to the rules that determine one destination completely. */
function findDestinations(tables: TracedTables): {
  readonly destinations: Destination[];
  readonly accepted: ReadonlySet<number>;
} {
  const found: Destination[] = [];
  const accepted = new Set<number>();
  for (const [name, hooks] of [
    ['nat', ['PREROUTING', 'OUTPUT']],
    ['filter', ['INPUT', 'FORWARD', 'OUTPUT']],
  ] as const) {
    const onFound: DispatchWalk['onFound'] = (destination, { target }) => {
      if (target?.kind === 'ACCEPT' && name === 'filter') accepted.add(destination.port);
      else found.push(destination);
    };
    for (const hook of hooks) visitChain({ table: tables[name], visited: new Set(), onFound }, hook, noRequirement);
  }
  return { destinations: distinct(found), accepted };
}

function visitChain(walk: DispatchWalk, chain: string, required: Required): void {
  const { table, visited, onFound } = walk;
  const { network, protocol, ports } = required;
  const key = [chain, network?.address, network?.prefix, protocol, ports].join(' ');
  if (visited.has(key)) return;
  visited.add(key);
  for (const rule of table.chains.get(chain)?.rules ?? []) {
    const { target } = rule;
    if (target === undefined || target.kind === 'RETURN' || target.kind === 'MARK') continue;
    const next = narrow(required, rule);
    if (next === undefined) continue;
    const destination = destinationOf(next);
    if (destination !== undefined) onFound(destination, rule);
    else if (target.kind === 'jump' || target.kind === 'goto') visitChain(walk, target.chain, next);
  }
}

/** Adds what the rule requires. Returns undefined if no packet can have both protocols. */
function narrow(required: Required, { network: text, protocol, ports }: Rule): Required | undefined {
  const network = text === undefined ? undefined : parseCidr(text);
  if (protocol !== undefined && required.protocol !== undefined && protocol !== required.protocol) return undefined;
  const keepsNetwork = network === undefined || (required.network?.prefix ?? 0) > network.prefix;
  const keepsPorts = ports === undefined || (required.ports !== undefined && span(required.ports) < span(ports));
  return {
    network: keepsNetwork ? required.network : network,
    protocol: protocol ?? required.protocol,
    ports: keepsPorts ? required.ports : ports,
  };
}

function span([low, high]: readonly [number, number]): number {
  return high - low;
}

function destinationOf({ network, protocol, ports }: Required): Destination | undefined {
  if (!isProtocol(protocol) || ports === undefined || ports[0] !== ports[1]) return undefined;
  const isOwn = network === undefined || isLoopback(network.address);
  return { address: isOwn ? '' : network.address, protocol, port: ports[0] };
}
