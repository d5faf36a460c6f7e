/** What the table should hold for a Plan, and how that changes with the Plan. */
import { DeltaTracker } from '../../delta/delta-tracker';
import type { Family } from '../../model/address';
import type { ClusterWarning, ServiceKey } from '../../model/cluster';
import { finish, type Pieces } from '../../model/pieces';
import { Claims } from '../../planner/claims';
import { sortedServices } from '../../planner/describe';
import type { Plan, PlanChanges, ServicePlan } from '../../planner/plan';
import { setNames } from './names';
import type { ChainObject } from './objects';
import { printChainText, printSetText } from './print';
import { nodePortIPs, renderFixedChains } from './render-fixed';
import { type RenderedFrontend, type RenderedPort, renderPort } from './render-service';
import { tableSets } from './sets';
import type { NftablesSettings } from './settings';
import { renderSharedChain, type SharedChain, sharedChainName } from './shared-chains';
import { hasScheduler, mostHashed } from './slots';
import { UseCounts } from './use-counts';

const frontendsPerPiece = 200;

export class DesiredState {
  /** Key -> the frontend's elements, as `printFrontend` prints them. */
  readonly frontends = new DeltaTracker<string, string>();
  /** `SET KEY` -> '': elements that several Services may have in common. */
  readonly addresses = new DeltaTracker<string, ''>();
  /** Name -> as `printChainText` prints it. */
  readonly chains = new DeltaTracker<string, string>();
  /** Name -> as `printSetText` prints it. */
  readonly sets = new DeltaTracker<string, string>();
  /** The Services as they were last rendered. */
  readonly #services = new Map<ServiceKey, ServicePlan>();
  readonly #claims = new Claims();
  readonly #chainObjects = new Map<string, ChainObject>();
  readonly #chainUses = new UseCounts();
  readonly #addressUses = new UseCounts();
  readonly #warnings: ClusterWarning[] = [];
  readonly #settings: NftablesSettings;
  #rules = 0;

  constructor(
    readonly family: Family,
    settings: NftablesSettings,
  ) {
    this.#settings = settings;
  }

  get ruleCount(): number {
    return this.#rules;
  }

  /** A chain that should be there. */
  chain(name: string): ChainObject | undefined {
    return this.#chainObjects.get(name);
  }

  /** As Backend.takeWarnings. */
  takeWarnings(): readonly ClusterWarning[] {
    return this.#warnings.splice(0);
  }

  /** Renders the whole Plan. What the kernel was seen to hold stays known. */
  render(plan: Plan): void {
    finish(this.renderInPieces(plan));
  }

  *renderInPieces(plan: Plan): Pieces<void> {
    for (const tracker of [this.frontends, this.addresses, this.chains, this.sets]) tracker.clearDesired();
    this.#services.clear();
    this.#claims.clear();
    this.#chainObjects.clear();
    this.#chainUses.clear();
    this.#addressUses.clear();
    this.#rules = 0;
    for (const set of tableSets) this.sets.setDesired(set.name, printSetText(set, this.family));
    for (const chain of renderFixedChains(this.family, plan.settings, this.#settings)) this.#addChain(chain);
    for (const address of nodePortIPs(this.family, plan.settings)) this.#addAddress(setNames.nodePortIPs, address);
    const services = sortedServices(plan);
    yield* this.renderChangesInPieces(plan, new Map(services.map((service) => [service.key, service])));
  }

  renderChanges(plan: Plan, changes: PlanChanges): void {
    finish(this.renderChangesInPieces(plan, changes));
  }

  *renderChangesInPieces(plan: Plan, changes: PlanChanges): Pieces<void> {
    for (const [key, service] of changes) {
      const before = yield* renderInPieces(this.#services.get(key));
      const after = yield* renderInPieces(service);
      if (service === undefined) this.#services.delete(key);
      else this.#services.set(key, service);
      for (const { set, key: element } of after.addresses) this.#addAddress(set, element);
      for (const { set, key: element } of before.addresses) this.#removeAddress(set, element);
      yield* this.#replaceFrontends(key, plan, before.frontends, after.frontends);
      if (service !== undefined) this.#warn(service);
      yield;
    }
  }

  *#replaceFrontends(
    key: ServiceKey,
    plan: Plan,
    before: RenderedPort['frontends'],
    after: RenderedPort['frontends'],
  ): Pieces<void> {
    let done = 0;
    for (const [frontend, rendered] of after) {
      if (++done % frontendsPerPiece === 0) yield;
      const owner = this.#claims.ownerOf(frontend);
      this.#claims.add(frontend, key);
      if (this.#claims.ownerOf(frontend) !== key) continue;
      this.#replace(
        frontend,
        plan,
        owner === key ? before.get(frontend) : this.#renderingOf(owner, frontend),
        rendered,
      );
    }
    for (const [frontend, rendered] of before) {
      if (++done % frontendsPerPiece === 0) yield;
      if (after.has(frontend)) continue;
      const isOwner = this.#claims.ownerOf(frontend) === key;
      this.#claims.remove(frontend, key);
      if (isOwner) this.#replace(frontend, plan, rendered, this.#renderingOf(this.#claims.ownerOf(frontend), frontend));
    }
  }

  /** What another Service that claims the frontend would have there. */
  #renderingOf(owner: ServiceKey | undefined, frontend: string): RenderedFrontend | undefined {
    const service = owner === undefined ? undefined : this.#services.get(owner);
    return service && finish(renderInPieces(service)).frontends.get(frontend);
  }

  #replace(key: string, plan: Plan, before: RenderedFrontend | undefined, after: RenderedFrontend | undefined): void {
    if (after === undefined) this.frontends.deleteDesired(key);
    else this.frontends.setDesired(key, after.text);
    for (const chain of after?.sharedChains ?? []) this.#useChain(chain, plan);
    for (const chain of before?.sharedChains ?? []) {
      const name = sharedChainName(chain);
      if (this.#chainUses.remove(name)) this.#removeChain(name);
    }
    for (const name of before?.ownChains.keys() ?? []) if (after?.ownChains.has(name) !== true) this.#removeChain(name);
    for (const [name, rules] of after?.ownChains ?? []) this.#addChain({ name, rules });
  }

  #useChain(chain: SharedChain, { settings: { localDetector } }: Plan): void {
    const name = sharedChainName(chain);
    if (!this.#chainUses.add(name)) return;
    const { family } = this;
    const { masqueradeMark } = this.#settings;
    const rules = renderSharedChain(chain, { family, masqueradeMark, localDetector: localDetector[family] });
    this.#addChain({ name, rules });
  }

  #addChain(chain: ChainObject): void {
    this.#rules += chain.rules.length - (this.#chainObjects.get(chain.name)?.rules.length ?? 0);
    this.#chainObjects.set(chain.name, chain);
    this.chains.setDesired(chain.name, printChainText(chain, this.family));
  }

  #removeChain(name: string): void {
    this.#rules -= this.#chainObjects.get(name)?.rules.length ?? 0;
    this.#chainObjects.delete(name);
    this.chains.deleteDesired(name);
  }

  #addAddress(set: string, key: string): void {
    const name = `${set} ${key}`;
    if (this.#addressUses.add(name)) this.addresses.setDesired(name, '');
  }

  #removeAddress(set: string, key: string): void {
    const name = `${set} ${key}`;
    if (this.#addressUses.remove(name)) this.addresses.deleteDesired(name);
  }

  #warn({ key, ports }: ServicePlan): void {
    for (const { scheduler, clusterEndpoints } of ports) {
      if (scheduler === undefined || hasScheduler(scheduler, clusterEndpoints.length)) continue;
      const why =
        clusterEndpoints.length > mostHashed && hasScheduler(scheduler, 0)
          ? `has room for ${mostHashed} endpoints only`
          : 'is one of IPVS mode';
      this.#warnings.push({
        object: `Service ${key}`,
        kind: 'no-scheduler',
        message: `the scheduler ${scheduler} ${why}: endpoints are chosen at random`,
      });
      return;
    }
  }
}

function* renderInPieces(service: ServicePlan | undefined): Pieces<RenderedPort> {
  const frontends = new Map<string, RenderedFrontend>();
  const addresses: RenderedPort['addresses'][number][] = [];
  for (const [i, port] of (service?.ports ?? []).entries()) {
    if (i > 0) yield;
    const rendered = renderPort(port);
    // Of two ports of a Service with the same frontend the first has it.
    for (const [key, frontend] of rendered.frontends) if (!frontends.has(key)) frontends.set(key, frontend);
    for (const address of rendered.addresses) addresses.push(address);
  }
  return { frontends, addresses };
}
