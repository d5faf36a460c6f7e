/** The chains of a Plan, and how they change with it. */
import { type Family, hostCidr } from '../../model/address';
import type { ServiceKey } from '../../model/cluster';
import { finish, type Pieces } from '../../model/pieces';
import { sortedServices } from '../../planner/describe';
import {
  type Frontend,
  type Plan,
  type PlanChanges,
  type ServicePlan,
  type ServicePortPlan,
  servicePortName,
} from '../../planner/plan';
import { newRuleTables } from '../../xtables/kernel-rules';
import { chainText, countLines, type Jump, slices, type TableName, tableNames } from '../../xtables/rules';
import { comment, setMasqueradeMark } from '../../xtables/common-rules';
import type { DispatchEntry } from './dispatch/keys';
import { type ChangedChains, type DispatchOptions, DispatchTree } from './dispatch/tree';
import { hairpinChain, renderFilterBase, renderJumps, renderNatBase } from './render-fixed';
import type { IptablesSettings } from './settings';
import { isForwarded, renderServiceChains, type ServiceChainNames, serviceChainNames } from './render-service';

/** The roots of the dispatch rules. Each has a tree of its own. */
const rootNames = [
  'nat vips',
  'nat node ports',
  'refused cluster IPs',
  'refused external IPs',
  'refused node ports',
  'source ranges',
  'health check ports',
  'hairpin',
] as const;
type Root = (typeof rootNames)[number];
const roots: Readonly<Record<Root, Omit<DispatchOptions, 'family'> & { readonly table: TableName }>> = {
  'nat vips': { table: 'nat', root: 'KUBE-SERVICES', prefix: 'KUBE-SVC-', by: 'destination' },
  'nat node ports': { table: 'nat', root: 'KUBE-NODEPORTS', prefix: 'KUBE-SVC-np-', by: 'port' },
  'refused cluster IPs': { table: 'filter', root: 'KUBE-SERVICES', prefix: 'KUBE-SVC-', by: 'destination' },
  'refused external IPs': { table: 'filter', root: 'KUBE-EXTERNAL-SERVICES', prefix: 'KUBE-EXT-', by: 'destination' },
  'refused node ports': { table: 'filter', root: 'KUBE-EXT-nodeports', prefix: 'KUBE-EXT-np-', by: 'port' },
  'source ranges': { table: 'filter', root: 'KUBE-PROXY-FIREWALL', prefix: 'KUBE-FW-', by: 'destination' },
  'health check ports': { table: 'filter', root: 'KUBE-NODEPORTS', prefix: 'KUBE-SVC-hc-', by: 'port' },
  hairpin: { table: 'nat', root: hairpinChain, prefix: 'KUBE-SEP-', by: 'hairpin' },
};

const entriesPerPiece = 1000;

type Entries = Map<Root, DispatchEntry[]>;

interface RenderedService {
  readonly chains: readonly string[];
  readonly entries: Entries;
}

export class RuleSet {
  readonly tables = newRuleTables();
  jumps: readonly Jump[] = [];
  /** The number of desired rules by table, without the jumps. */
  readonly ruleCounts: Record<TableName, number> = { nat: 0, filter: 0, mangle: 0 };
  readonly #services = new Map<ServiceKey, RenderedService>();
  /** Each is made when it is first needed. */
  readonly #trees = new Map<Root, DispatchTree>();
  readonly #settings: IptablesSettings;

  constructor(
    readonly family: Family,
    settings: IptablesSettings,
  ) {
    this.#settings = settings;
  }

  /** Renders the whole Plan. What the kernel was seen to hold stays known. */
  render(plan: Plan): void {
    finish(this.renderInPieces(plan));
  }

  *renderInPieces(plan: Plan): Pieces<void> {
    for (const table of tableNames) {
      this.tables[table].clearDesired();
      this.ruleCounts[table] = 0;
    }
    this.#services.clear();
    this.#trees.clear();
    const localhost = this.family === 'IPv4' && plan.settings.localhostNodePorts;
    this.jumps = renderJumps(localhost);
    this.#set('nat', renderNatBase(this.family, this.#settings, localhost));
    this.#set('filter', renderFilterBase(this.family, this.#settings, localhost));
    for (const root of rootNames)
      if (root !== 'hairpin' || !this.#settings.hasBpf)
        this.#setDispatch(root, plan, new Map([[roots[root].root, []]]));
    const services = sortedServices(plan);
    yield* this.renderChangesInPieces(plan, new Map(services.map((service) => [service.key, service])));
  }

  renderChanges(plan: Plan, changes: PlanChanges): void {
    finish(this.renderChangesInPieces(plan, changes));
  }

  *renderChangesInPieces(plan: Plan, changes: PlanChanges): Pieces<void> {
    const removed: Entries = new Map();
    const added: Entries = new Map();
    const stale = new Set<string>();
    for (const [key, service] of changes) {
      const old = this.#services.get(key);
      for (const chain of old?.chains ?? []) stale.add(chain);
      collect(removed, old?.entries);
      yield;
      if (service === undefined) {
        this.#services.delete(key);
        continue;
      }
      const rendered = yield* this.#renderService(service, plan);
      this.#services.set(key, rendered);
      for (const chain of rendered.chains) stale.delete(chain);
      collect(added, rendered.entries);
    }
    for (const chain of stale) this.#setChain('nat', chain, undefined);
    for (const root of rootNames) {
      const [oldEntries, newEntries] = [removed.get(root) ?? [], added.get(root) ?? []];
      if (sameEntries(oldEntries, newEntries)) continue;
      yield* this.#replaceEntries(root, plan, oldEntries, newEntries);
    }
  }

  /** May go in pieces, because the tree does not depend on the order in which entries come and go. */
  *#replaceEntries(root: Root, plan: Plan, oldEntries: DispatchEntry[], newEntries: DispatchEntry[]): Pieces<void> {
    if (oldEntries.length + newEntries.length <= entriesPerPiece) {
      this.#setDispatch(root, plan, this.#tree(root).update(oldEntries, newEntries));
      return;
    }
    for (const some of slices(oldEntries, entriesPerPiece)) {
      this.#setDispatch(root, plan, this.#tree(root).update(some, []));
      yield;
    }
    for (const some of slices(newEntries, entriesPerPiece)) {
      this.#setDispatch(root, plan, this.#tree(root).update([], some));
      yield;
    }
  }

  /** The nat chains of one Service, for a listing by Service. */
  chainsOf(key: ServiceKey): readonly string[] {
    return this.#services.get(key)?.chains ?? [];
  }

  #tree(root: Root): DispatchTree {
    const known = this.#trees.get(root);
    if (known !== undefined) return known;
    const tree = new DispatchTree({ family: this.family, ...roots[root] });
    this.#trees.set(root, tree);
    return tree;
  }

  *#renderService(service: ServicePlan, plan: Plan): Pieces<RenderedService> {
    const names: string[] = [];
    const entries: Entries = new Map();
    for (const [i, planned] of service.ports.entries()) {
      if (i > 0) yield;
      if (planned.protocol === 'SCTP' && !this.#settings.hasSctp) continue;
      const port = this.#settings.hasRecent ? planned : { ...planned, affinitySeconds: 0 };
      const chainNames = serviceChainNames(port);
      const chains = renderServiceChains(port, chainNames, this.family, plan.settings.localDetector[this.family]);
      names.push(...chains.keys());
      this.#set('nat', chains);
      for (const frontend of port.frontends) this.#addEntries(entries, port, chainNames, frontend);
      if (!this.#settings.hasBpf) collect(entries, new Map([['hairpin', this.#hairpinEntries(port)]]));
    }
    if (service.healthCheckNodePort !== 0)
      collect(entries, new Map([['health check ports', [healthCheckEntry(service.key, service.healthCheckNodePort)]]]));
    return { chains: names, entries };
  }

  #hairpinEntries(port: ServicePortPlan): DispatchEntry[] {
    const addresses = new Set([...port.clusterEndpoints, ...port.localEndpoints].map(({ address }) => address));
    const owner = `${servicePortName(port)} ${port.protocol}`;
    const action = setMasqueradeMark(this.#settings.masqueradeMark);
    return [...addresses].map((address) => ({ address, protocol: port.protocol, port: 0, owner, comment: '', action }));
  }

  #addEntries(entries: Entries, port: ServicePortPlan, names: ServiceChainNames, frontend: Frontend): void {
    const name = servicePortName(port);
    const external = frontend.kind !== 'ClusterIP';
    const { verdict } = frontend;
    const add = (root: Root, text: string, action: string): void => {
      const { address, port: number } = frontend;
      const owner = `${name} ${frontend.kind}`;
      const entry = { address, protocol: port.protocol, port: number, owner, comment: text, action };
      collect(entries, new Map([[root, [entry]]]));
    };
    if (isForwarded(frontend)) {
      const list = verdict.kind === 'forward' ? names[verdict.endpoints] : '';
      const restricted = frontend.sourceRanges !== undefined;
      const to = !external ? list : restricted ? names.firewall : names.external;
      add(
        external && frontend.kind === 'NodePort' ? 'nat node ports' : 'nat vips',
        `${name} ${words[frontend.kind]}`,
        `-j ${to}`,
      );
    }
    if (frontend.sourceRanges !== undefined && verdict.kind !== 'reject')
      add('source ranges', `${name} traffic not accepted by ${names.firewall}`, '-j DROP');
    if (verdict.kind === 'forward') return;
    const root = !external
      ? 'refused cluster IPs'
      : frontend.kind === 'NodePort'
        ? 'refused node ports'
        : 'refused external IPs';
    const reject = this.family === 'IPv4' ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';
    const action = verdict.kind === 'reject' ? `-j REJECT --reject-with ${reject}` : '-j DROP';
    add(root, `${name} has ${verdict.why}`, action);
  }

  #set(table: TableName, chains: ReadonlyMap<string, readonly string[]>): void {
    for (const [chain, rules] of chains) this.#setChain(table, chain, rules);
  }

  #setChain(table: TableName, chain: string, rules: readonly string[] | undefined): void {
    const tracker = this.tables[table];
    this.ruleCounts[table] += (rules?.length ?? 0) - countLines(tracker.getDesired(chain) ?? '');
    if (rules === undefined) tracker.deleteDesired(chain);
    else tracker.setDesired(chain, chainText(chain, rules));
  }

  #setDispatch(root: Root, plan: Plan, changed: ChangedChains): void {
    const { table } = roots[root];
    for (const [chain, rules] of changed)
      this.#setChain(table, chain, rules && [...rules, ...this.#lastRules(chain, table, plan)]);
  }

  /** The rules after the dispatch by address. They lead to node ports, which come after every VIP. */
  #lastRules(chain: string, table: TableName, plan: Plan): string[] {
    if (table === 'filter' && chain === 'KUBE-EXTERNAL-SERVICES')
      return ['-m addrtype --dst-type LOCAL -j KUBE-EXT-nodeports'];
    if (table !== 'nat' || chain !== 'KUBE-SERVICES') return [];
    const { nodePortAddresses, localhostNodePorts } = plan.settings;
    const addresses = nodePortAddresses[this.family];
    const note = comment('kubernetes service nodeports; NOTE: this must be the last rule in this chain');
    if (addresses.kind === 'some')
      return addresses.addresses.map((address) => `-d ${hostCidr(address)} ${note} -j KUBE-NODEPORTS`);
    const loopback = this.family === 'IPv6' ? '! -d ::1/128 ' : localhostNodePorts ? '' : '! -d 127.0.0.0/8 ';
    return [`${loopback}${note} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`];
  }
}

const words = {
  ClusterIP: 'cluster IP',
  ExternalIP: 'external IP',
  LoadBalancer: 'loadbalancer IP',
  NodePort: 'node port',
} as const;

function healthCheckEntry(key: ServiceKey, port: number): DispatchEntry {
  return {
    address: '',
    protocol: 'TCP',
    port,
    owner: key,
    comment: `${key} health check node port`,
    action: '-j ACCEPT',
  };
}

function collect(into: Entries, from: Entries | undefined): void {
  for (const [root, entries] of from ?? []) {
    const list = into.get(root);
    if (list === undefined) into.set(root, [...entries]);
    else for (const entry of entries) list.push(entry);
  }
}

/** Entries are the same when only endpoints changed. Dispatch then stays as it is. */
function sameEntries(a: readonly DispatchEntry[], b: readonly DispatchEntry[]): boolean {
  return (
    a.length === b.length &&
    a.every((entry, i) => {
      const other = b[i];
      return (
        other !== undefined &&
        entry.address === other.address &&
        entry.protocol === other.protocol &&
        entry.port === other.port &&
        entry.owner === other.owner &&
        entry.comment === other.comment &&
        entry.action === other.action
      );
    })
  );
}
