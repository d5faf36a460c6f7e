/** What the kernel should hold for a Plan, and how that changes with the Plan. */
import { DeltaTracker } from '../../delta/delta-tracker';
import { type Family, familyOf, isLoopback } from '../../model/address';
import type { ClusterWarning, ServiceKey } from '../../model/cluster';
import type { Protocol } from '../../model/protocol';
import { finish, type Pieces } from '../../model/pieces';
import { sortedServices } from '../../planner/describe';
import type { Plan, PlanChanges, ServicePlan } from '../../planner/plan';
import { newRuleTables } from '../../xtables/kernel-rules';
import { chainText, type Jump, type TableName, tableNames } from '../../xtables/rules';
import type { AddressJudgement } from '../backend';
import { BoundAddresses } from './device/bound-addresses';
import { Claims } from '../../planner/claims';
import { renderJumps, renderRules } from './render-fixed';
import { missingSchedulers } from './servers/choose-scheduler';
import { parseMark } from './sets/names';
import { markIdentity, Marks, mostMarks } from './sets/marks';
import {
  markedEntries,
  nothingRendered,
  type RenderedService,
  renderService,
  renderServicePorts,
  type RenderScope,
  type SetEntry,
  type VirtualServer,
} from './render-service';
import { SetContents } from './sets/contents';
import type { IpvsSettings } from './settings';

const serversPerPiece = 200;
const protocols: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

export class DesiredState {
  /** Key -> text of each virtual server, as in virtual-server.ts. */
  readonly servers = new DeltaTracker<string, string>();
  /** The addresses of kube-ipvs0. */
  readonly addresses = new DeltaTracker<string, 'bound'>();
  readonly sets: SetContents;
  readonly tables = newRuleTables();
  jumps: readonly Jump[] = [];
  /** The number of desired rules by table, without the jumps. */
  readonly ruleCounts: Record<TableName, number> = { nat: 0, filter: 0, mangle: 0 };

  /** The Services as they were last rendered. */
  readonly #services = new Map<ServiceKey, ServicePlan>();
  readonly #claims = new Claims();
  readonly #bound: BoundAddresses;
  readonly #marks: Marks;
  #scope: RenderScope;
  readonly #warnings: ClusterWarning[] = [];
  /** Used while changes are rendered: what the state holds of each Service that is involved. */
  readonly #renderings = new Map<ServiceKey, RenderedService>();
  readonly #settings: IpvsSettings;

  constructor(
    readonly family: Family,
    settings: IpvsSettings,
  ) {
    this.#settings = settings;
    this.sets = new SetContents(family);
    this.#bound = new BoundAddresses(this.addresses, this.sets);
    this.#marks = new Marks(family, settings.masqueradeMark);
    this.#scope = { family, settings, nodeAddresses: new Set(), nodePortAddresses: [], marks: new Map() };
  }

  /** As Backend.judgeAddresses. */
  judgeAddresses(judge: (address: string) => AddressJudgement): void {
    this.#bound.judgeAnew(judge);
  }

  /** As Backend.takeWarnings. */
  takeWarnings(): readonly ClusterWarning[] {
    return this.#warnings.splice(0);
  }

  /** The protocol of a virtual server. Returns undefined when a server by mark is not wanted. */
  protocolOf(server: string): Protocol | undefined {
    const [kind = '', mark] = server.split(' ');
    if (kind !== 'FWM') return protocols.find((protocol) => protocol === kind);
    const port = this.#marks.portOf(Number(mark));
    return protocols.find((protocol) => port?.endsWith(` ${protocol}`) === true);
  }

  /** Renders the whole Plan. What the kernel was seen to hold stays known. */
  render(plan: Plan): void {
    finish(this.renderInPieces(plan));
  }

  *renderInPieces(plan: Plan): Pieces<void> {
    this.servers.clearDesired();
    this.addresses.clearDesired();
    this.sets.clear();
    this.#services.clear();
    this.#claims.clear();
    this.#bound.clear();
    const nodeAddresses = (plan.settings.hostAddresses ?? []).filter((address) => familyOf(address) === this.family);
    const answering = plan.settings.nodePortAddresses[this.family];
    const nodePortAddresses = answering.kind === 'all' ? nodeAddresses : answering.addresses;
    this.#scope = {
      ...this.#scope,
      nodeAddresses: new Set(nodeAddresses),
      nodePortAddresses: nodePortAddresses.filter((address) => !isLoopback(address)),
      marks: new Map(),
    };
    for (const address of this.#scope.nodePortAddresses) this.sets.add('KUBE-IPVS-NODE-IPS', address);
    const services = sortedServices(plan);
    this.#marks.restart(this.#marksInUse(services));
    yield* this.renderChangesInPieces(plan, new Map(services.map((service) => [service.key, service])));
  }

  /** The marks in the kernel's set, each with the service port whose VIP has it, or '' when no such port is known. */
  #marksInUse(services: readonly ServicePlan[]): ReadonlyMap<number, string> {
    const byEntry = new Map<string, number>();
    const inUse = new Map<number, string>();
    for (const [entry, options] of this.sets.observed('KUBE-IPVS-LOCAL')) {
      const mark = parseMark(options);
      if (mark === undefined) continue;
      byEntry.set(entry, mark);
      inUse.set(mark, '');
    }
    if (byEntry.size === 0) return inUse;
    for (const port of services.flatMap(({ ports }) => ports))
      for (const entry of markedEntries(port, this.#scope)) {
        const mark = byEntry.get(entry);
        if (mark !== undefined && inUse.get(mark) === '') inUse.set(mark, markIdentity(port));
      }
    return inUse;
  }

  renderChanges(plan: Plan, changes: PlanChanges): void {
    finish(this.renderChangesInPieces(plan, changes));
  }

  /** Between two pieces the desired state of each Service is either the old or the new one. */
  *renderChangesInPieces(plan: Plan, changes: PlanChanges): Pieces<void> {
    const moved = this.#settings.hasSetMarks ? this.#marks.update(this.#services, changes) : [];
    const affected = new Map<ServiceKey, ServicePlan | undefined>(changes);
    for (const key of moved) if (!affected.has(key)) affected.set(key, this.#services.get(key));
    this.#renderings.clear();
    for (const key of affected.keys()) yield* this.#renderPorts(key);
    this.#scope = { ...this.#scope, marks: this.#marks.byPort };
    for (const [key, service] of affected) {
      const before = this.#renderings.get(key) ?? nothingRendered;
      this.#renderings.delete(key);
      if (service === undefined) this.#services.delete(key);
      else this.#services.set(key, service);
      yield* this.#replace(key, before, yield* this.#renderPorts(key));
      yield;
    }
    this.#renderings.clear();
    for (const service of changes.values()) if (service !== undefined) this.#warn(service);
    this.#renderTables(plan);
  }

  #warn({ key, ports }: ServicePlan): void {
    const { scheduler } = this.#settings;
    for (const missing of missingSchedulers(ports, this.#settings))
      this.#warnings.push({
        object: `Service ${key}`,
        kind: 'no-scheduler',
        message: `the kernel has no IPVS scheduler ${missing}: ${scheduler} is used instead`,
      });
    if (ports.some((port) => this.#marks.without.has(markIdentity(port))))
      this.#warnings.push({
        object: `Service ${key}`,
        kind: 'no-mark',
        message: `there are marks for ${mostMarks} ports only: for clients on this node externalTrafficPolicy Local works as for clients outside`,
      });
  }

  /** What the state holds of a Service now. It is rendered once, even when the Service shares every frontend with another one. */
  #renderedNow(key: ServiceKey): RenderedService {
    const known = this.#renderings.get(key);
    if (known !== undefined) return known;
    const service = this.#services.get(key);
    const rendered = service === undefined ? nothingRendered : renderService(service, this.#scope);
    this.#renderings.set(key, rendered);
    return rendered;
  }

  /** As #renderedNow, but always rendered anew, in pieces. */
  *#renderPorts(key: ServiceKey): Pieces<RenderedService> {
    const service = this.#services.get(key);
    const rendered = service === undefined ? nothingRendered : yield* renderServicePorts(service, this.#scope);
    this.#renderings.set(key, rendered);
    return rendered;
  }

  *#replace(key: ServiceKey, before: RenderedService, after: RenderedService): Pieces<void> {
    let done = 0;
    this.#replaceEntries(before.entries, after.entries);
    for (const [name, server] of after.servers) {
      if (++done % serversPerPiece === 0) yield;
      const owner = this.#claims.ownerOf(name);
      this.#claims.add(name, key);
      if (this.#claims.ownerOf(name) !== key) continue;
      const rendered = owner === key ? before : owner === undefined ? nothingRendered : this.#renderedNow(owner);
      this.#replaceServer(name, rendered.servers.get(name), server);
    }
    for (const [name, server] of before.servers) {
      if (++done % serversPerPiece === 0) yield;
      if (after.servers.has(name)) continue;
      const isOwner = this.#claims.ownerOf(name) === key;
      this.#claims.remove(name, key);
      if (!isOwner) continue;
      const heir = this.#claims.ownerOf(name);
      this.#replaceServer(name, server, heir === undefined ? undefined : this.#renderedNow(heir).servers.get(name));
    }
  }

  #replaceServer(name: string, before: VirtualServer | undefined, after: VirtualServer | undefined): void {
    if (after === undefined) this.servers.deleteDesired(name);
    else this.servers.setDesired(name, after.text);
    this.#replaceEntries(before?.entries ?? [], after?.entries ?? []);
    if (before?.address === after?.address && before?.isExternal === after?.isExternal) return;
    if (after !== undefined) this.#bound.add(after);
    if (before !== undefined) this.#bound.remove(before);
  }

  #replaceEntries(before: readonly SetEntry[], after: readonly SetEntry[]): void {
    if (sameEntries(before, after)) return;
    // An entry keeps the options of its first add. So one with options is removed before it is added again.
    for (const { set, entry, options } of before) if (options !== undefined) this.sets.remove(set, entry);
    for (const { set, entry, options } of after) this.sets.add(set, entry, options);
    for (const { set, entry, options } of before) if (options === undefined) this.sets.remove(set, entry);
  }

  #renderTables(plan: Plan): void {
    this.jumps = renderJumps(this.#settings);
    const rules = renderRules(plan, this.#settings, (set) => this.sets.nameInForce(set));
    for (const table of tableNames) {
      const tracker = this.tables[table];
      this.ruleCounts[table] = 0;
      for (const [chain, lines] of rules[table]) {
        this.ruleCounts[table] += lines.length;
        tracker.setDesired(chain, chainText(chain, lines));
      }
    }
  }
}

function sameEntries(a: readonly SetEntry[], b: readonly SetEntry[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ set, entry, options }, i) => {
      const other = b[i];
      return other !== undefined && set === other.set && entry === other.entry && options === other.options;
    })
  );
}
