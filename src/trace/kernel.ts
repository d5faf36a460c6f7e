/** One family of a node's service rules, in whichever mode they were written: what can be asked of them. */
import { type Cidr, type Family, familyOf, isLoopback, parseCidr } from '../model/address';
import type { Rule } from './iptables-rule';
import type { TracedTable, TracedTables } from './iptables-tables';
import type { IpSets } from './ip-sets';
import type { NftTable } from './nft-ruleset';
import type { ProtocolName } from '../model/protocol';
import type { Connection, MatchContext, Outcome, TracedNode } from './packet';
import { type RulesKind, rulesKinds } from './rules-kind';
import { traceConnection } from './trace-iptables';
import { type IpvsState, ownAddresses, traceIpvsConnection } from './trace-ipvs';
import { traceNftConnection } from './trace-nft';

/** What rules are about: an address, protocol and port. */
export interface Destination {
  /** '' for the node's own addresses. */
  readonly address: string;
  readonly protocol: ProtocolName;
  readonly port: number;
}

export interface TracedKernel {
  readonly kind: RulesKind;
  readonly family: Family;
  /** All outcomes of a new connection, the most probable first. */
  trace(connection: Connection, onSource?: MatchContext['onSource']): Outcome[];
  /** Whether the node itself has the address: what comes in for it is delivered, and never meets POSTROUTING. */
  isLocal(address: string): boolean;
  /** Everything that a rule, an element or a virtual server is there for. */
  readonly destinations: readonly Destination[];
  /** It has a virtual server here and is another machine's: packets to it go there, but for the node's own. */
  readonly isElsewhere?: (address: string) => boolean;
  /** Ports of the health checks of Services that are let in; undefined: the mode has no such rules. */
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
    kind: rulesKinds.nftables,
    family,
    trace: (connection, onSource) => traceNftConnection(table, node, connection, onSource),
    isLocal: (address) => node.isLocal(address),
    destinations: distinct(
      [...table.sets.values()].flatMap((set) => [...set.entries()].flatMap(([key]) => parseKey(key) ?? [])),
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

/** `10.96.0.10,tcp:80` and what may follow. */
function parseEntry(entry: string): Destination[] {
  const [, address = '', protocol, port] = /^([^,]+),(\w+):(\d+)/.exec(entry) ?? [];
  return isProtocol(protocol) ? [{ address, protocol, port: Number(port) }] : [];
}

/** What all rules on the way to here ask of the destination. */
interface Asked {
  readonly network?: Cidr;
  readonly protocol?: string;
  readonly ports?: readonly [number, number];
}

/** A walk through the dispatch from one hook of a table. */
interface DispatchWalk {
  readonly table: TracedTable;
  /** Chains that were met, each with what was asked on the way to it. */
  readonly visited: Set<string>;
  readonly onFound: (destination: Destination, rule: Rule) => void;
}

/** Walks the dispatch, in all tables, as far as nothing more is left to be asked of the destination. */
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
    for (const hook of hooks) visitChain({ table: tables[name], visited: new Set(), onFound }, hook, {});
  }
  return { destinations: distinct(found), accepted };
}

function visitChain(walk: DispatchWalk, chain: string, asked: Asked): void {
  const { table, visited, onFound } = walk;
  const key = [chain, asked.network?.address, asked.network?.prefix, asked.protocol, asked.ports].join(' ');
  if (visited.has(key)) return;
  visited.add(key);
  for (const rule of table.chains.get(chain)?.rules ?? []) {
    const { target } = rule;
    if (target === undefined || target.kind === 'RETURN' || target.kind === 'MARK') continue;
    const next = narrow(asked, rule);
    if (next === undefined) continue;
    const destination = destinationOf(next);
    if (destination !== undefined) onFound(destination, rule);
    else if (target.kind === 'jump' || target.kind === 'goto') visitChain(walk, target.chain, next);
  }
}

/** undefined: no packet can do both. */
function narrow(asked: Asked, { network: text, protocol, ports }: Rule): Asked | undefined {
  const network = text === undefined ? undefined : parseCidr(text);
  if (protocol !== undefined && asked.protocol !== undefined && protocol !== asked.protocol) return undefined;
  const narrowed = {
    network: network === undefined || (asked.network?.prefix ?? 0) > network.prefix ? asked.network : network,
    protocol: protocol ?? asked.protocol,
    ports: ports === undefined || (asked.ports !== undefined && span(asked.ports) < span(ports)) ? asked.ports : ports,
  };
  return narrowed as Asked;
}

function span([low, high]: readonly [number, number]): number {
  return high - low;
}

function destinationOf({ network, protocol, ports }: Asked): Destination | undefined {
  if (!isProtocol(protocol) || ports === undefined || ports[0] !== ports[1]) return undefined;
  const isOwn = network === undefined || isLoopback(network.address);
  return { address: isOwn ? '' : network.address, protocol, port: ports[0] };
}
