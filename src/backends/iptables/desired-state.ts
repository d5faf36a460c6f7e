/** The chains of a Plan, and how they change with it. */
import { countLines } from '../../xtables/rules';
import { DeltaTracker } from '../../delta/delta-tracker';
import type { Family } from '../../model/address';
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
import { type Jump, slices, type TableName, tableNames } from '../../xtables/rules';
import type { DispatchEntry } from './dispatch/keys';
import { type ChangedChains, DispatchTree } from './dispatch/tree';
import { hairpinChain, renderFilterBase, renderJumps, renderNatBase } from './render-fixed';
import type { IptablesSettings } from './settings';
import { isForwarded, renderServiceChains, type ServiceChainNames, serviceChainNames } from './render-service';

/** Where dispatch rules go. Each is a tree of its own. */
const roots = {
  'nat vips': { table: 'nat', root: 'KUBE-SERVICES', prefix: 'KUBE-SVC-', by: 'destination' },
  'nat node ports': { table: 'nat', root: 'KUBE-NODEPORTS', prefix: 'KUBE-SVC-np-', by: 'port' },
  'refused cluster IPs': { table: 'filter', root: 'KUBE-SERVICES', prefix: 'KUBE-SVC-', by: 'destination' },
  'refused external IPs': { table: 'filter', root: 'KUBE-EXTERNAL-SERVICES', prefix: 'KUBE-EXT-', by: 'destination' },
  'refused node ports': { table: 'filter', root: 'KUBE-EXT-nodeports', prefix: 'KUBE-EXT-np-', by: 'port' },
  'source ranges': { table: 'filter', root: 'KUBE-PROXY-FIREWALL', prefix: 'KUBE-FW-', by: 'destination' },
  'health check ports': { table: 'filter', root: 'KUBE-NODEPORTS', prefix: 'KUBE-SVC-hc-', by: 'port' },
  hairpin: { table: 'nat', root: hairpinChain, prefix: 'KUBE-SEP-', by: 'hairpin' },
} as const;
type Root = keyof typeof roots;
const rootNames = Object.keys(roots) as Root[];

const entriesPerPiece = 1000;

type Entries = Map<Root, DispatchEntry[]>;

interface RenderedService {
  readonly chains: readonly string[];
  readonly entries: Entries;
}

export class RuleSet {
  /** Chain -> its rules as `-A CHAIN ...` lines, joined by newlines; '' for a chain without rules. */
  readonly tables: Readonly<Record<TableName, DeltaTracker<string, string>>> = {
    nat: new DeltaTracker(),
    filter: new DeltaTracker(),
    mangle: new DeltaTracker(),
  };
  jumps: readonly Jump[] = [];
  /** Desired, without the jumps. */
  readonly ruleCounts: Record<TableName, number> = { nat: 0, filter: 0, mangle: 0 };
  private readonly services = new Map<ServiceKey, RenderedService>();
  private trees: Readonly<Record<Root, DispatchTree>>;

  constructor(
    readonly family: Family,
    private readonly settings: IptablesSettings,
  ) {
    this.trees = this.newTrees();
  }

  /** From nothing: what the kernel was seen to hold stays known. */
  render(plan: Plan): void {
    finish(this.renderInPieces(plan));
  }

  *renderInPieces(plan: Plan): Pieces<void> {
    for (const table of tableNames) {
      this.tables[table].clearDesired();
      this.ruleCounts[table] = 0;
    }
    this.services.clear();
    this.trees = this.newTrees();
    const localhost = this.family === 'IPv4' && plan.settings.localhostNodePorts;
    this.jumps = renderJumps(localhost);
    this.set('nat', renderNatBase(this.family, this.settings, localhost));
    this.set('filter', renderFilterBase(this.family, this.settings, localhost));
    for (const root of rootNames)
      if (root !== 'hairpin' || !this.settings.hasBpf) this.setDispatch(root, plan, new Map([[roots[root].root, []]]));
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
      const old = this.services.get(key);
      for (const chain of old?.chains ?? []) stale.add(chain);
      collect(removed, old?.entries);
      yield;
      if (service === undefined) {
        this.services.delete(key);
        continue;
      }
      const rendered = yield* this.renderService(service, plan);
      this.services.set(key, rendered);
      for (const chain of rendered.chains) stale.delete(chain);
      collect(added, rendered.entries);
    }
    for (const chain of stale) this.setChain('nat', chain, undefined);
    for (const root of rootNames) {
      const [gone, come] = [removed.get(root) ?? [], added.get(root) ?? []];
      if (sameEntries(gone, come)) continue;
      yield* this.replaceEntries(root, plan, gone, come);
    }
  }

  /** The tree does not depend on the order in which entries came and went. */
  private *replaceEntries(root: Root, plan: Plan, gone: DispatchEntry[], come: DispatchEntry[]): Pieces<void> {
    if (gone.length + come.length <= entriesPerPiece) {
      this.setDispatch(root, plan, this.trees[root].update(gone, come));
      return;
    }
    for (const some of slices(gone, entriesPerPiece)) {
      this.setDispatch(root, plan, this.trees[root].update(some, []));
      yield;
    }
    for (const some of slices(come, entriesPerPiece)) {
      this.setDispatch(root, plan, this.trees[root].update([], some));
      yield;
    }
  }

  /** nat chains of one Service, for a listing by Service. */
  chainsOf(key: ServiceKey): readonly string[] {
    return this.services.get(key)?.chains ?? [];
  }

  private newTrees(): Record<Root, DispatchTree> {
    const tree = (root: Root): [Root, DispatchTree] => [
      root,
      new DispatchTree({ family: this.family, ...roots[root] }),
    ];
    return Object.fromEntries(rootNames.map(tree)) as Record<Root, DispatchTree>;
  }

  private *renderService(service: ServicePlan, plan: Plan): Pieces<RenderedService> {
    const names: string[] = [];
    const entries: Entries = new Map();
    for (const [i, planned] of service.ports.entries()) {
      if (i > 0) yield;
      if (planned.protocol === 'SCTP' && !this.settings.hasSctp) continue;
      const port = this.settings.hasRecent ? planned : { ...planned, affinitySeconds: 0 };
      const chainNames = serviceChainNames(port);
      const chains = renderServiceChains(port, chainNames, this.family, plan.settings.localDetector[this.family]);
      names.push(...chains.keys());
      this.set('nat', chains);
      for (const frontend of port.frontends) this.addEntries(entries, port, chainNames, frontend);
      if (!this.settings.hasBpf) collect(entries, new Map([['hairpin', this.hairpinEntries(port)]]));
    }
    if (service.healthCheckNodePort !== 0)
      collect(entries, new Map([['health check ports', [healthCheckEntry(service.key, service.healthCheckNodePort)]]]));
    return { chains: names, entries };
  }

  private hairpinEntries(port: ServicePortPlan): DispatchEntry[] {
    const addresses = new Set([...port.clusterEndpoints, ...port.localEndpoints].map(({ address }) => address));
    const mark = `0x${this.settings.masqueradeMark.toString(16)}`;
    const rest = { protocol: port.protocol, port: 0, owner: `${servicePortName(port)} ${port.protocol}`, comment: '' };
    return [...addresses].map((address) => ({ ...rest, address, action: `-j MARK --set-xmark ${mark}/${mark}` }));
  }

  private addEntries(entries: Entries, port: ServicePortPlan, names: ServiceChainNames, frontend: Frontend): void {
    const name = servicePortName(port);
    const external = frontend.kind !== 'ClusterIP';
    const { verdict } = frontend;
    const add = (root: Root, comment: string, action: string): void => {
      const { address, port: number } = frontend;
      const owner = `${name} ${frontend.kind}`;
      collect(entries, new Map([[root, [{ address, protocol: port.protocol, port: number, owner, comment, action }]]]));
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

  private set(table: TableName, chains: ReadonlyMap<string, readonly string[]>): void {
    for (const [chain, rules] of chains) this.setChain(table, chain, rules);
  }

  private setChain(table: TableName, chain: string, rules: readonly string[] | undefined): void {
    const tracker = this.tables[table];
    this.ruleCounts[table] += (rules?.length ?? 0) - countLines(tracker.getDesired(chain) ?? '');
    if (rules === undefined) tracker.deleteDesired(chain);
    else tracker.setDesired(chain, chainText(chain, rules));
  }

  private setDispatch(root: Root, plan: Plan, changed: ChangedChains): void {
    const { table } = roots[root];
    for (const [chain, rules] of changed)
      this.setChain(table, chain, rules && [...rules, ...this.lastRules(chain, table, plan)]);
  }

  /** What stands behind the dispatch by address: node ports, after every VIP. */
  private lastRules(chain: string, table: TableName, plan: Plan): string[] {
    if (table === 'filter' && chain === 'KUBE-EXTERNAL-SERVICES')
      return ['-m addrtype --dst-type LOCAL -j KUBE-EXT-nodeports'];
    if (table !== 'nat' || chain !== 'KUBE-SERVICES') return [];
    const { nodePortAddresses, localhostNodePorts } = plan.settings;
    const addresses = nodePortAddresses[this.family];
    const comment =
      '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"';
    if (addresses.kind === 'some') {
      const width = this.family === 'IPv4' ? 32 : 128;
      return addresses.addresses.map((address) => `-d ${address}/${width} ${comment} -j KUBE-NODEPORTS`);
    }
    const loopback = this.family === 'IPv6' ? '! -d ::1/128 ' : localhostNodePorts ? '' : '! -d 127.0.0.0/8 ';
    return [`${loopback}${comment} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`];
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

function chainText(chain: string, rules: readonly string[]): string {
  return rules.map((rule) => `-A ${chain} ${rule}`).join('\n');
}

function collect(into: Entries, from: Entries | undefined): void {
  for (const [root, entries] of from ?? []) {
    const list = into.get(root);
    if (list === undefined) into.set(root, [...entries]);
    else for (const entry of entries) list.push(entry);
  }
}

/** One endpoint that changes leaves dispatch as it is. */
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
