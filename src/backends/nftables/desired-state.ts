/** What the table should hold for a Plan, and how that changes with the Plan. */
import { DeltaTracker } from '../../delta/delta-tracker';
import type { Family } from '../../model/address';
import type { ClusterWarning, ServiceKey } from '../../model/cluster';
import { finish, type Pieces } from '../../model/pieces';
import { Claims } from '../../planner/claims';
import { sortedServices } from '../../planner/describe';
import type { Plan, PlanChanges, ServicePlan, ServicePortPlan } from '../../planner/plan';
import { setNames } from './names';
import type { ChainObject, Rule, SetObject } from './objects';
import { printChainText, printSetText } from './print';
import { nodePortIPs, renderFixedChains } from './render-fixed';
import { type PlainElement, type RenderedFrontend, type RenderedPort, renderPort } from './render-service';
import { tableSets } from './sets';
import type { NftablesSettings } from './settings';
import { type ChainSettings, renderSharedChain, type SharedChain, sharedChainName } from './shared-chains';
import { hasScheduler, mostHashed } from './slots';
import { UseCounts } from './use-counts';

const frontendsPerPiece = 200;

export class DesiredState {
  /** Key -> the frontend's elements, as `printFrontend` prints them. */
  readonly frontends = new DeltaTracker<string, string>();
  /** `SET KEY` -> value: elements that belong to no frontend, and that several Services may have in common. */
  readonly elements = new DeltaTracker<string, string>();
  /** Name -> as `printChainText` prints it. */
  readonly chains = new DeltaTracker<string, string>();
  /** Name -> as `printSetText` prints it. */
  readonly sets = new DeltaTracker<string, string>();
  /** The Services as they were last rendered. */
  readonly #services = new Map<ServiceKey, ServicePlan>();
  readonly #claims = new Claims();
  readonly #chainObjects = new Map<string, ChainObject>();
  readonly #setObjects = new Map<string, SetObject>();
  readonly #chainUses = new UseCounts();
  readonly #elementUses = new UseCounts();
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

  /** A set that should be there. */
  set(name: string): SetObject | undefined {
    return this.#setObjects.get(name);
  }

  /** Service ports with session affinity. */
  *affinePorts(): Generator<ServicePortPlan> {
    for (const { ports } of this.#services.values()) yield* ports.filter(({ affinitySeconds }) => affinitySeconds > 0);
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
    for (const tracker of [this.frontends, this.elements, this.chains, this.sets]) tracker.clearDesired();
    this.#services.clear();
    this.#claims.clear();
    this.#chainObjects.clear();
    this.#setObjects.clear();
    this.#chainUses.clear();
    this.#elementUses.clear();
    this.#rules = 0;
    for (const set of tableSets) this.#addSet(set);
    for (const chain of renderFixedChains(this.family, plan.settings, this.#settings)) this.#addChain(chain);
    for (const address of nodePortIPs(this.family, plan.settings))
      this.#addElement({ set: setNames.nodePortIPs, key: address, value: '' });
    const services = sortedServices(plan);
    yield* this.renderChangesInPieces(plan, new Map(services.map((service) => [service.key, service])));
  }

  renderChanges(plan: Plan, changes: PlanChanges): void {
    finish(this.renderChangesInPieces(plan, changes));
  }

  *renderChangesInPieces(plan: Plan, changes: PlanChanges): Pieces<void> {
    const settings = this.#chainSettings(plan);
    for (const [key, service] of changes) {
      const before = yield* renderInPieces(this.#services.get(key), settings);
      const after = yield* renderInPieces(service, settings);
      if (service === undefined) this.#services.delete(key);
      else this.#services.set(key, service);
      this.#replaceObjects(before, after);
      yield* this.#replaceFrontends(key, settings, before.frontends, after.frontends);
      if (service !== undefined) this.#warn(service);
      yield;
    }
  }

  #chainSettings({ settings: { localDetector } }: Plan): ChainSettings {
    const { family } = this;
    return { family, masqueradeMark: this.#settings.masqueradeMark, localDetector: localDetector[family] };
  }

  #replaceObjects(before: RenderedPort, after: RenderedPort): void {
    for (const element of after.elements) this.#addElement(element);
    for (const element of before.elements) this.#removeElement(element);
    for (const [name, rules] of after.chains) this.#addChain({ name, rules });
    for (const name of before.chains.keys()) if (!after.chains.has(name)) this.#removeChain(name);
    const sets = new Set(after.sets.map(({ name }) => name));
    for (const set of after.sets) this.#addSet(set);
    for (const { name } of before.sets) if (!sets.has(name)) this.#removeSet(name);
  }

  *#replaceFrontends(
    key: ServiceKey,
    settings: ChainSettings,
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
        settings,
        owner === key ? before.get(frontend) : this.#renderingOf(owner, frontend, settings),
        rendered,
      );
    }
    for (const [frontend, rendered] of before) {
      if (++done % frontendsPerPiece === 0) yield;
      if (after.has(frontend)) continue;
      const isOwner = this.#claims.ownerOf(frontend) === key;
      this.#claims.remove(frontend, key);
      if (isOwner)
        this.#replace(
          frontend,
          settings,
          rendered,
          this.#renderingOf(this.#claims.ownerOf(frontend), frontend, settings),
        );
    }
  }

  /** What another Service that claims the frontend would have there. */
  #renderingOf(owner: ServiceKey | undefined, frontend: string, settings: ChainSettings): RenderedFrontend | undefined {
    const service = owner === undefined ? undefined : this.#services.get(owner);
    return service && finish(renderInPieces(service, settings)).frontends.get(frontend);
  }

  #replace(
    key: string,
    settings: ChainSettings,
    before: RenderedFrontend | undefined,
    after: RenderedFrontend | undefined,
  ): void {
    if (after === undefined) this.frontends.deleteDesired(key);
    else this.frontends.setDesired(key, after.text);
    for (const chain of after?.sharedChains ?? []) this.#useChain(chain, settings);
    for (const chain of before?.sharedChains ?? []) {
      const name = sharedChainName(chain);
      if (this.#chainUses.remove(name)) this.#removeChain(name);
    }
    for (const name of before?.ownChains.keys() ?? []) if (after?.ownChains.has(name) !== true) this.#removeChain(name);
    for (const [name, rules] of after?.ownChains ?? []) this.#addChain({ name, rules });
  }

  #useChain(chain: SharedChain, settings: ChainSettings): void {
    const name = sharedChainName(chain);
    if (this.#chainUses.add(name)) this.#addChain({ name, rules: renderSharedChain(chain, settings) });
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

  #addSet(set: SetObject): void {
    this.#setObjects.set(set.name, set);
    this.sets.setDesired(set.name, printSetText(set, this.family));
  }

  #removeSet(name: string): void {
    this.#setObjects.delete(name);
    this.sets.deleteDesired(name);
  }

  #addElement({ set, key, value }: PlainElement): void {
    const name = `${set} ${key}`;
    this.#elementUses.add(name);
    this.elements.setDesired(name, value);
  }

  #removeElement({ set, key }: PlainElement): void {
    const name = `${set} ${key}`;
    if (this.#elementUses.remove(name)) this.elements.deleteDesired(name);
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

function* renderInPieces(service: ServicePlan | undefined, settings: ChainSettings): Pieces<RenderedPort> {
  const frontends = new Map<string, RenderedFrontend>();
  const elements: PlainElement[] = [];
  const chains = new Map<string, readonly Rule[]>();
  const sets: SetObject[] = [];
  for (const [i, port] of (service?.ports ?? []).entries()) {
    if (i > 0) yield;
    const rendered = renderPort(port, settings);
    // Of two ports of a Service with the same frontend the first has it.
    for (const [key, frontend] of rendered.frontends) if (!frontends.has(key)) frontends.set(key, frontend);
    for (const element of rendered.elements) elements.push(element);
    for (const [name, rules] of rendered.chains) chains.set(name, rules);
    sets.push(...rendered.sets);
  }
  return { frontends, elements, chains, sets };
}
