import { cidrContains, type Cidr, type Family, parseCidr } from '../../model/address';
import type { ClusterWarning } from '../../model/cluster';
import { finish, type Pieces } from '../../model/pieces';
import type { Plan, PlanChanges } from '../../planner/plan';
import { KernelRules } from '../../xtables/kernel-rules';
import { addJumps } from '../../xtables/rules';
import type { KernelTables } from '../../xtables/kernel-tables';
import type { AddressJudgement, Backend, BatchSize, RuleCounts } from '../backend';
import { type IpvsBatch, planStagesInPieces, type Stage } from './diff';
import { printStage, sizeInPieces, sizeOf } from './print';
import { DesiredState } from './desired-state';
import { DrainingDestinations } from './servers/draining';
import type { SavedSets } from './sets/ipset-text';
import { endOf, isOurServer, type OurThings } from './servers/our-servers';
import { withoutDestinations } from './servers/server-text';
import type { IpvsSettings } from './settings';
import type { DestinationConnections, SeenServers, ServerWrite } from './servers/virtual-server';

/** What this backend needs of the machine: drivers, or memory alone in a dry run. Each method throws when it fails. */
export interface IpvsKernel {
  readonly tables: KernelTables;
  /** Every virtual server of the family, whoever made it. */
  readServers(): Promise<SeenServers>;
  writeServers(writes: readonly ServerWrite[]): Promise<void>;
  readDestinations(server: string): Promise<readonly DestinationConnections[]>;
  readSets(): Promise<SavedSets>;
  /** Input of `ipset -exist restore`. */
  restoreSets(input: string): Promise<void>;
  /** The addresses of kube-ipvs0, in canonical form. */
  readAddresses(): Promise<readonly string[]>;
  bind(addresses: readonly string[]): Promise<void>;
  unbind(addresses: readonly string[]): Promise<void>;
}

export interface IpvsOptions {
  readonly settings: IpvsSettings;
  /** Virtual servers on these addresses are left alone when no Service needs them. */
  readonly excludeCIDRs: readonly string[];
  /** How long a removed destination keeps its connections. Infinity: until they end. */
  readonly drainLimitMs: number;
  /** The time in milliseconds. */
  readonly now: () => number;
}

export class IpvsBackend implements Backend<IpvsBatch> {
  readonly state: DesiredState;
  readonly draining: DrainingDestinations;
  readonly #rules: KernelRules;
  readonly #excluded: readonly Cidr[];
  /** undefined before the first Plan. */
  #nodeAddresses: readonly string[] | undefined;
  /** What a read found before the first Plan. Which servers are ours depends on the node's addresses, which are not known yet. */
  #early: { readonly seen: SeenServers; readonly ours: OurThings } | undefined;
  #readsBegun = 0;
  #lastRead = 0;
  readonly #kernel: IpvsKernel;

  constructor(
    readonly family: Family,
    { settings, excludeCIDRs, drainLimitMs, now }: IpvsOptions,
    kernel: IpvsKernel,
  ) {
    this.#kernel = kernel;
    this.state = new DesiredState(family, settings);
    this.#rules = new KernelRules(this.state, kernel.tables);
    this.draining = new DrainingDestinations(drainLimitMs, now);
    this.#excluded = excludeCIDRs.flatMap((text) => parseCidr(text) ?? []);
  }

  render(plan: Plan): void {
    finish(this.renderPieces(plan));
  }

  renderChanges(plan: Plan, changes: PlanChanges): void {
    finish(this.renderPieces(plan, changes));
  }

  *renderPieces(plan: Plan, changes?: PlanChanges): Pieces<void> {
    if (changes !== undefined) {
      yield* this.state.renderChangesInPieces(plan, changes);
      return;
    }
    this.#nodeAddresses = plan.settings.hostAddresses ?? [];
    yield* this.state.renderInPieces(plan);
    this.#rules.compareJumps();
    if (this.#early === undefined) return;
    const { seen, ours } = this.#early;
    this.#early = undefined;
    this.state.servers.replaceObserved(this.#ownServers(seen, ours, this.#nodeAddresses));
  }

  judgeAddresses(judge: (address: string) => AddressJudgement): void {
    this.state.judgeAddresses(judge);
  }

  takeWarnings(): readonly ClusterWarning[] {
    return this.state.takeWarnings();
  }

  diff(): IpvsBatch | undefined {
    return finish(this.diffPieces());
  }

  *diffPieces(): Pieces<IpvsBatch | undefined> {
    if (this.#isSettled()) return undefined;
    const stages = yield* planStagesInPieces(this.state, this.#rules);
    return stages.length === 0 ? undefined : stages;
  }

  print(batch: IpvsBatch): string {
    return batch.map((stage) => printStage(stage, this.family)).join('');
  }

  size(batch: IpvsBatch): BatchSize {
    return sizeOf(batch, this.family);
  }

  sizePieces(batch: IpvsBatch): Pieces<BatchSize> {
    return sizeInPieces(batch, this.family);
  }

  async read(): Promise<boolean> {
    const number = ++this.#readsBegun;
    const { servers, addresses, sets } = this.state;
    const serverRead = servers.beginRead();
    const addressRead = addresses.beginRead();
    const takeSets = sets.beginRead();
    try {
      const rulesDrifted = await this.#rules.read();
      const savedSets = await this.#kernel.readSets();
      const bound = await this.#kernel.readAddresses();
      const seen = await this.#kernel.readServers();
      // A read that began later has already ended.
      if (number < this.#lastRead) return false;
      this.#lastRead = number;
      const wasSettled = this.#isSettled();
      addresses.replaceObserved(new Map(bound.map((address) => [address, 'bound'])), addressRead);
      const ours = { boundAddresses: bound, sets: savedSets };
      if (this.#nodeAddresses === undefined) this.#early = { seen, ours };
      else servers.replaceObserved(this.#ownServers(seen, ours, this.#nodeAddresses, serverRead), serverRead);
      takeSets(savedSets);
      return rulesDrifted || (wasSettled && !this.#isSettled());
    } finally {
      servers.endRead(serverRead);
      addresses.endRead(addressRead);
      takeSets(undefined);
    }
  }

  async apply(batch: IpvsBatch, signal?: AbortSignal): Promise<void> {
    for (const stage of batch) {
      if (signal?.aborted === true) return;
      if (stage.kind === 'rules') await this.#rules.write(stage.step);
      else {
        await this.#write(stage);
        this.#noteWritten(stage);
      }
    }
  }

  assumeApplied(batch: IpvsBatch): void {
    for (const stage of batch) this.#noteWritten(stage);
  }

  ruleCounts(): RuleCounts {
    return addJumps(this.state.ruleCounts, this.state.jumps);
  }

  /** Deletes destinations that have drained. */
  async tend(): Promise<void> {
    for (const server of this.draining.servers()) {
      const writes = this.draining.planDeletions(server, await this.#kernel.readDestinations(server));
      if (writes.length === 0) continue;
      await this.#kernel.writeServers(writes);
      for (const write of writes)
        if (write.op === 'delete-destination') this.draining.delete(server, write.destination);
    }
  }

  #isSettled(): boolean {
    const { servers, addresses, sets } = this.state;
    return servers.inSync && addresses.inSync && sets.inSync && this.#rules.isSettled;
  }

  /** Our servers of those that were seen, without destinations that only wait for their last connections to end. */
  #ownServers(
    seen: SeenServers,
    ours: OurThings,
    nodeAddresses: readonly string[],
    writtenMeanwhile: ReadonlySet<string> = new Set(),
  ): Map<string, string> {
    const { servers } = this.state;
    const isOurs = isOurServer(this.family, ours, nodeAddresses);
    const own = new Map<string, string>();
    for (const [server, text] of seen.servers)
      if (servers.getDesired(server) !== undefined || (isOurs(server) && !this.#isExcluded(server)))
        own.set(server, text);
    const gone = new Map<string, Set<string>>();
    for (const { server, destination } of seen.resting) {
      if (!own.has(server) || writtenMeanwhile.has(server) || this.#isWanted(server, destination)) continue;
      this.draining.add(server, destination);
      const list = gone.get(server);
      if (list === undefined) gone.set(server, new Set([destination]));
      else list.add(destination);
    }
    for (const [server, destinations] of gone)
      own.set(server, withoutDestinations(own.get(server) ?? '', destinations));
    return own;
  }

  #isWanted(server: string, destination: string): boolean {
    return this.state.servers.getDesired(server)?.includes(`\n${destination} `) === true;
  }

  #isExcluded(server: string): boolean {
    if (this.#excluded.length === 0 || server.startsWith('FWM ')) return false;
    const { address } = endOf(server);
    return this.#excluded.some((cidr) => cidr.family === this.family && cidrContains(cidr, address));
  }

  async #write(stage: Exclude<Stage, { kind: 'rules' }>): Promise<void> {
    switch (stage.kind) {
      case 'sets':
        return this.#kernel.restoreSets(stage.input);
      case 'servers':
        return this.#kernel.writeServers(stage.writes);
      case 'bind':
        return this.#kernel.bind(stage.addresses);
      case 'unbind':
        return this.#kernel.unbind(stage.addresses);
    }
  }

  #noteWritten(stage: Stage): void {
    const { servers, addresses, sets } = this.state;
    switch (stage.kind) {
      case 'sets':
        sets.setApplied(stage.writes);
        return;
      case 'rules':
        this.#rules.noteWritten(stage.step);
        return;
      case 'servers':
        for (const [server, text] of stage.texts) servers.setObserved(server, text);
        for (const { server, destination } of stage.draining) this.draining.add(server, destination);
        for (const write of stage.writes)
          if (write.op === 'delete-server') this.draining.deleteServer(write.server);
          else if (write.op === 'add-destination') this.draining.delete(write.server, write.destination);
        return;
      case 'bind':
        for (const address of stage.addresses) addresses.setObserved(address, 'bound');
        return;
      case 'unbind':
        for (const address of stage.addresses) addresses.setObserved(address, undefined);
    }
  }
}
