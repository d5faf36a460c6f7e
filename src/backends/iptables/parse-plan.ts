/**
 * Reads our rules back into the Plan that they were written for, as far as they tell it: endpoints and their weights, frontends, source
 * ranges and policies. This Plan, rendered again, gives exactly the same rules, unless somebody else edited them. What differs then
 * belongs to no state that vipwire ever wrote. Settings are not read back: marks, detectors and node-port addresses are those in use.
 */
import { markMasquerade } from '../../xtables/common-rules';
import { targetChain } from '../../xtables/known-chains';
import { type Family, hostCidr } from '../../model/address';
import { serviceKey, type ServiceKey } from '../../model/cluster';
import type { Protocol } from '../../model/protocol';
import type {
  Frontend,
  FrontendKind,
  Masquerade,
  NodeSettings,
  Plan,
  PlanEndpoint,
  ServicePlan,
  ServicePortPlan,
  Verdict,
} from '../../planner/plan';
import type { TableName } from '../../xtables/rules';
import { type ServiceChainNames, serviceChainNames } from './render-service';

/** Chain -> its `-A` lines, joined by newlines. */
type ReadTables = Readonly<Record<TableName, ReadonlyMap<string, string>>>;

/** How frontends of one kind treat the sources of their packets. */
type Served = Pick<Frontend, 'masquerade' | 'localSourcesToCluster'>;

/** A dispatch rule. Its comment tells which service port it belongs to. */
interface Dispatched {
  readonly table: TableName;
  /** `default/web:http` */
  readonly name: string;
  /** What follows the name in the comment, such as `cluster IP`. */
  readonly what: string;
  readonly address: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** What follows the matches of the rule: `-j KUBE-SVC-...`. */
  readonly action: string;
  /** Whether the rule's tree is for external addresses or NodePorts. */
  readonly isExternal: boolean;
}

const dispatchRule =
  /^-A (\S+) (?:-d (\S+)\/(?:32|128) )?-p (tcp|udp|sctp) -m comment --comment "(\S+) ([^"]+)" -m \3 --dport (\d+) (-j .*)$/;
const protocols: Readonly<Record<string, Protocol>> = { tcp: 'TCP', udp: 'UDP', sctp: 'SCTP' };
const kinds: Readonly<Record<string, FrontendKind>> = {
  'cluster IP': 'ClusterIP',
  'external IP': 'ExternalIP',
  'loadbalancer IP': 'LoadBalancer',
  'node port': 'NodePort',
};

/** Returns the service port in the rule's comment, such as `default/web:http`, or undefined when it has no such comment. */
export function ownerOfRule(line: string): string | undefined {
  return dispatchRule.exec(line)?.[4];
}

/** `isWeighted` tells whether a Service's endpoints may have different weights. Of other Services unequal shares are ignored. */
export function parsePlan(
  tables: ReadTables,
  family: Family,
  settings: NodeSettings,
  isWeighted: (service: ServiceKey) => boolean = () => true,
): Plan {
  const ports = new Map<string, Dispatched[]>();
  const healthPorts = new Map<string, number>();
  for (const entry of readDispatch(tables)) {
    if (entry.what === 'health check node port') healthPorts.set(entry.name, entry.port);
    else {
      const key = `${entry.name} ${entry.protocol}`;
      ports.set(key, [...(ports.get(key) ?? []), entry]);
    }
  }
  const services = new Map<ServiceKey, ServicePlan>();
  for (const entries of ports.values()) {
    const parsed = parsePort(entries, tables.nat, family, settings);
    if (parsed === undefined) continue;
    const port = isWeighted(parsed.service) ? parsed : withoutWeights(parsed);
    const before = services.get(port.service);
    services.set(port.service, {
      ...(before ?? emptyService(port.service)),
      ports: [...(before?.ports ?? []), port],
      healthCheckNodePort: healthPorts.get(port.service) ?? 0,
    });
  }
  for (const [name, port] of healthPorts) {
    const key = splitName(name)?.service;
    if (key !== undefined && !services.has(key)) services.set(key, { ...emptyService(key), healthCheckNodePort: port });
  }
  return { family, settings, services };
}

function withoutWeights(port: ServicePortPlan): ServicePortPlan {
  const bare = ({ address, port: number, isLocal }: PlanEndpoint): PlanEndpoint => ({ address, port: number, isLocal });
  const { clusterEndpoints, localEndpoints } = port;
  return { ...port, clusterEndpoints: clusterEndpoints.map(bare), localEndpoints: localEndpoints.map(bare) };
}

function emptyService(key: ServiceKey): ServicePlan {
  return { key, ports: [], healthCheckNodePort: 0, localReadyEndpoints: 0, endpointCount: 0 };
}

function* readDispatch(tables: ReadTables): Generator<Dispatched> {
  for (const table of ['nat', 'filter'] as const)
    for (const [chain, text] of tables[table])
      yield* text.split('\n').flatMap((line) => parseDispatchRule(table, chain, line) ?? []);
}

function parseDispatchRule(table: TableName, chain: string, line: string): Dispatched | undefined {
  const [, , address = '', word = '', name = '', what = '', port, action = ''] = dispatchRule.exec(line) ?? [];
  const protocol = protocols[word];
  if (protocol === undefined) return undefined;
  const isExternal = chain.startsWith('KUBE-EXT');
  return { table, name, what, address, protocol, port: Number(port), action, isExternal };
}

/** `default/web:http` */
function splitName(text: string): Pick<ServicePortPlan, 'service' | 'namespace' | 'name' | 'portName'> | undefined {
  const [, namespace, name, portName = ''] = /^([^/]+)\/([^/:]+)(?::(.*))?$/.exec(text) ?? [];
  if (namespace === undefined || name === undefined) return undefined;
  return { service: serviceKey(namespace, name), namespace, name, portName };
}

function parsePort(
  entries: readonly Dispatched[],
  nat: ReadTables['nat'],
  family: Family,
  settings: NodeSettings,
): ServicePortPlan | undefined {
  const [first] = entries;
  const names = first === undefined ? undefined : splitName(first.name);
  if (first === undefined || names === undefined) return undefined;
  const bare: ServicePortPlan = {
    ...names,
    protocol: first.protocol,
    frontends: [],
    clusterEndpoints: [],
    localEndpoints: [],
    servingEndpoints: [],
    affinitySeconds: 0,
    noLocalEndpoints: { internal: false, external: false },
  };
  const chains = serviceChainNames(bare);
  const cluster = linesOf(nat, chains.cluster);
  const local = linesOf(nat, chains.local);
  return {
    ...bare,
    frontends: parseFrontends(entries, chains, nat, servedInside(settings, family)),
    clusterEndpoints: parseEndpoints(cluster, nat),
    localEndpoints: parseEndpoints(local, nat),
    affinitySeconds: parseAffinity([...cluster, ...local], nat),
  };
}

function linesOf(nat: ReadTables['nat'], chain: string): readonly string[] {
  const text = nat.get(chain) ?? '';
  return text === '' ? [] : text.split('\n').map((line) => line.slice(chain.length + 4));
}

/** The chain that holds a part of a long list of endpoints, if the rule leads to one. */
function endpointGroup(rule: string): string | undefined {
  const chain = targetChain(rule);
  return chain?.startsWith('KUBE-SEP-') === true ? chain : undefined;
}

/** Replaces each rule that leads to a part of a long list by the rules of that part. */
function followGroups(lines: readonly string[], nat: ReadTables['nat']): readonly string[] {
  return lines.flatMap((line) => {
    const group = endpointGroup(line);
    return group === undefined ? line : linesOf(nat, group);
  });
}

function parseAffinity(lines: readonly string[], nat: ReadTables['nat']): number {
  const [, seconds = '0'] = /-m recent --update --seconds (\d+)/.exec(followGroups(lines, nat).join('\n')) ?? [];
  return Number(seconds);
}

/** Reads the endpoints from the rules that pick one. The weights are the smallest that give the rules' probabilities. */
function parseEndpoints(lines: readonly string[], nat: ReadTables['nat']): readonly PlanEndpoint[] {
  const shares = new Map<string, number>();
  const walk = (some: readonly string[], part: number): void => {
    let left = part;
    for (const line of some) {
      if (line.includes('--update')) continue;
      const [, chance] = /--probability (\S+)/.exec(line) ?? [];
      const share = left * (chance === undefined ? 1 : Number(chance));
      const [, to] = /-j DNAT --to-destination (\S+)$/.exec(line) ?? [];
      const group = endpointGroup(line);
      if (to !== undefined) shares.set(to, share);
      else if (group !== undefined && chance !== undefined) walk(linesOf(nat, group), share);
      else if (group !== undefined && !linesOf(nat, group).some((one) => one.includes('--update')))
        walk(linesOf(nat, group), share);
      else continue;
      left -= share;
    }
  };
  walk(lines, 1);
  const least = Math.min(...shares.values());
  return [...shares].flatMap(([text, share]) => {
    const [, v6, v4, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text) ?? [];
    const address = v6 ?? v4;
    if (address === undefined) return [];
    const weight = Math.round(share / least);
    return [{ address, port: Number(port), isLocal: false, ...(weight > 1 && { weight }) }];
  });
}

function parseFrontends(
  entries: readonly Dispatched[],
  chains: ServiceChainNames,
  nat: ReadTables['nat'],
  inside: Served,
): readonly Frontend[] {
  const external = parseExternal(linesOf(nat, chains.external), chains);
  const ranges = linesOf(nat, chains.firewall).flatMap((line) => /^-s (\S+) -j /.exec(line)?.[1] ?? []);
  const isRestricted = new Set(
    entries
      .filter(({ what }) => what.startsWith('traffic not accepted'))
      .map(({ address, port }) => `${address} ${port}`),
  );
  const byPlace = new Map<string, Frontend>();
  for (const entry of entries) {
    const { address, port, what, action } = entry;
    if (what.startsWith('traffic not accepted')) continue;
    const isClusterIP = what === 'cluster IP' || (what.startsWith('has no') && !entry.isExternal && address !== '');
    const restricted = isRestricted.has(`${address} ${port}`);
    const kind: FrontendKind = isClusterIP
      ? 'ClusterIP'
      : (kinds[what] ?? (address === '' ? 'NodePort' : restricted ? 'LoadBalancer' : 'ExternalIP'));
    const refusal = what.startsWith('has no') ? refusalOf(what) : undefined;
    const verdict = refusal ?? verdictOf(action, chains) ?? external.verdict;
    const place = `${kind === 'ClusterIP' ? kind : 'external'} ${address} ${port}`;
    const before = byPlace.get(place);
    const served = kind === 'ClusterIP' ? inside : external.served;
    // A frontend that is refused for clients outside may be forwarded for clients of this node.
    if (before !== undefined && refusal === undefined) {
      byPlace.set(place, { ...before, kind });
      continue;
    }
    byPlace.set(place, {
      ...(before ?? { kind, address, port, ...served, ...(restricted && rangesOf(ranges, address)) }),
      verdict,
    });
  }
  return [...byPlace.values()];
}

function refusalOf(what: string): Verdict {
  return what === 'has no local endpoints'
    ? { kind: 'drop', why: 'no local endpoints' }
    : { kind: 'reject', why: 'no endpoints' };
}

function verdictOf(action: string, chains: ServiceChainNames): Verdict | undefined {
  if (action === `-j ${chains.cluster}`) return { kind: 'forward', endpoints: 'cluster' };
  return action === `-j ${chains.local}` ? { kind: 'forward', endpoints: 'local' } : undefined;
}

function servedInside({ masqueradeAll, localDetector }: NodeSettings, family: Family): Served {
  const others = localDetector[family].kind === 'none' ? 'never' : 'not-local-pods';
  return { masquerade: masqueradeAll ? 'always' : others, localSourcesToCluster: false };
}

/** Reads what all external frontends of a port have in common. */
function parseExternal(
  lines: readonly string[],
  chains: ServiceChainNames,
): { readonly served: Served; readonly verdict: Verdict } {
  const masquerade: Masquerade = lines.includes(markMasquerade) ? 'always' : 'never';
  const localSourcesToCluster = lines.includes(`-m addrtype --src-type LOCAL -j ${chains.cluster}`);
  const last = verdictOf(lines.at(-1) ?? '', chains);
  return {
    served: { masquerade, localSourcesToCluster },
    verdict: last ?? { kind: 'drop', why: 'no local endpoints' },
  };
}

function rangesOf(ranges: readonly string[], address: string): Pick<Frontend, 'sourceRanges' | 'sourceRangesHaveNode'> {
  const own = hostCidr(address);
  const sourceRanges = ranges.filter((range) => range !== own).sort();
  return { sourceRanges, sourceRangesHaveNode: ranges.includes(own) };
}
