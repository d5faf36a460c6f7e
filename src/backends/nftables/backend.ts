import type { Pending } from '../../delta/delta-tracker';
import type { Family } from '../../model/address';
import type { ClusterWarning } from '../../model/cluster';
import { finish, finishWithPauses, type Pieces } from '../../model/pieces';
import { timeSlices } from '../../model/time-slice';
import type { Plan, PlanChanges } from '../../planner/plan';
import type { Backend, BatchSize, RuleCounts } from '../backend';
import type { RememberedClients } from './adopt-affinity';
import { DesiredState } from './desired-state';
import { planStepsInPieces } from './diff';
import { sizeOfWrite, stepLimits } from './message-size';
import {
  type ElementReader,
  type NftKernel,
  type ReadObjects,
  RefusedWritesError,
  type RememberedClient,
  tableName,
  type TableWrite,
} from './objects';
import { FrontendGatherer, SlotOrders } from './observed-frontends';
import { printSetText } from './print';
import { printWrites } from './print-writes';
import { tableSets } from './sets';
import { findSuspects, Refusals, tryAlone, type Wanted } from './refusals';
import type { NftablesSettings } from './settings';
import type { Step } from './steps';

/** Of a tool that makes one transaction of all that it is given. */
const unlimited = { messages: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };

export class NftablesBackend implements Backend<readonly Step[]> {
  readonly state: DesiredState;
  readonly #kernel: NftKernel;
  readonly #orders = new SlotOrders();
  /** Chains and sets that are not wanted and that the kernel does not let go, for example since somebody's rule leads to them. */
  readonly busy = new Set<string>();
  /** How often the kernel refused to let one go (a kube-proxy metric). */
  cleanupFailures = 0;
  readonly #refusals = new Refusals();
  /** What kube-proxy's sets of session affinity had when they were read, until its table is taken over. */
  #remembered: RememberedClients = new Map();
  #isRebuilt = false;
  #readsBegun = 0;
  #lastRead = 0;

  constructor(
    readonly family: Family,
    settings: NftablesSettings,
    kernel: NftKernel,
  ) {
    this.#kernel = kernel;
    this.state = new DesiredState(family, settings);
  }

  render(plan: Plan): void {
    this.state.render(plan);
  }

  renderChanges(plan: Plan, changes: PlanChanges): void {
    this.state.renderChanges(plan, changes);
  }

  renderPieces(plan: Plan, changes?: PlanChanges): Pieces<void> {
    return changes === undefined ? this.state.renderInPieces(plan) : this.state.renderChangesInPieces(plan, changes);
  }

  takeWarnings(): readonly ClusterWarning[] {
    return [...this.state.takeWarnings(), ...this.#refusals.takeWarnings()];
  }

  diff(): readonly Step[] | undefined {
    return finish(this.diffPieces());
  }

  *diffPieces(): Pieces<readonly Step[] | undefined> {
    if (this.#isSettled()) return undefined;
    const seen = {
      orders: this.#orders,
      busy: this.busy,
      isRebuilt: this.#isRebuilt,
      limits: this.#kernel.canRead ? stepLimits : unlimited,
      refusals: this.#refusals,
      remembered: this.#remembered,
    };
    const steps = yield* planStepsInPieces(this.state, seen);
    return steps.length === 0 ? undefined : steps;
  }

  print(steps: readonly Step[]): string {
    return steps.map(({ writes }) => printWrites(writes, this.family)).join('');
  }

  size(steps: readonly Step[]): BatchSize {
    return finish(this.sizePieces(steps));
  }

  *sizePieces(steps: readonly Step[]): Pieces<BatchSize> {
    const counts = { rules: 0, elements: 0, bytes: 0 };
    for (const { writes } of steps) {
      for (const write of writes) {
        if (write.op === 'set-rules') counts.rules += write.rules.length;
        else if (write.op === 'add-elements' || write.op === 'delete-elements')
          counts.elements += write.elements.length;
        counts.bytes += sizeOfWrite(write, this.family).bytes;
      }
      yield;
    }
    const { rules, elements, bytes } = counts;
    return { rules: { [tableName]: rules }, bytes, tables: [tableName], steps: steps.length, others: { elements } };
  }

  async read(): Promise<boolean> {
    const number = ++this.#readsBegun;
    const { frontends, elements, chains, sets } = this.state;
    const gatherer = new FrontendGatherer();
    const clients = new Map<string, RememberedClient[]>();
    const reads = {
      frontends: frontends.beginRead(),
      elements: elements.beginRead(),
      chains: chains.beginRead(),
      sets: sets.beginRead(),
    };
    try {
      const objects = this.#kernel.canRead ? await this.#kernel.read(readerOf(gatherer, clients)) : undefined;
      const isRebuilt = !this.#kernel.canRead || this.#hasWrongSets(objects);
      const known = isRebuilt ? undefined : objects;
      if (known === undefined) gatherer.clear();
      const orders = new SlotOrders();
      const pause = timeSlices();
      const seen = await finishWithPauses(gatherer.finishInPieces(orders), pause);
      const takeFrontends = await finishWithPauses(frontends.compareInPieces(seen, reads.frontends), pause);
      const takeElements = await finishWithPauses(elements.compareInPieces(gatherer.elements, reads.elements), pause);
      // A read that began later has already ended.
      if (number < this.#lastRead) return false;
      this.#lastRead = number;
      const wasSettled = this.#isSettled();
      this.#isRebuilt = isRebuilt;
      this.#remembered = clients;
      this.busy.clear();
      takeFrontends();
      this.#orders.replace(orders, reads.frontends);
      takeElements();
      chains.replaceObserved(new Map(known?.chains), reads.chains);
      sets.replaceObserved(new Map(known?.sets), reads.sets);
      return wasSettled && !this.#isSettled();
    } finally {
      frontends.endRead(reads.frontends);
      elements.endRead(reads.elements);
      chains.endRead(reads.chains);
      sets.endRead(reads.sets);
    }
  }

  async apply(steps: readonly Step[], signal?: AbortSignal): Promise<void> {
    for (const step of steps) {
      if (signal?.aborted === true) return;
      try {
        await this.#kernel.write(step.writes);
      } catch (error) {
        if (!(error instanceof RefusedWritesError)) throw error;
        if (!step.isCleanup) {
          await this.#findGuilty(step, error);
          throw error;
        }
        await this.#removeOneByOne(step);
        continue;
      }
      this.#noteWritten(step);
    }
    this.#remembered = new Map();
  }

  assumeApplied(steps: readonly Step[]): void {
    for (const step of steps) this.#noteWritten(step);
  }

  ruleCounts(): RuleCounts {
    return { [tableName]: this.state.ruleCount };
  }

  /** Tries again to remove what was in use. */
  async tend(): Promise<void> {
    const { chains, sets } = this.state;
    for (const name of [...this.busy]) {
      if (sets.getObserved(name) !== undefined) await this.#remove({ op: 'delete-set', set: name }, name);
      else if (chains.getObserved(name) !== undefined && chains.getDesired(name) === undefined)
        await this.#remove({ op: 'delete-chain', chain: name }, name);
      else this.busy.delete(name);
    }
  }

  #isSettled(): boolean {
    const { frontends, elements, chains, sets } = this.state;
    if (this.#isRebuilt || !elements.inSync) return false;
    if (frontends.inSync && chains.inSync && sets.inSync) return true;
    if (this.busy.size === 0 && this.#refusals.isEmpty) return false;
    const textOf = (chain: string): string | undefined => chains.getDesired(chain);
    return (
      this.#isSettledBut(frontends.pending(), (wanted) => this.#refusals.leavesOut(wanted, textOf)) &&
      this.#isSettledBut(chains.pending(), (wanted) => this.#refusals.hasChain(wanted)) &&
      this.#isSettledBut(sets.pending(), () => false)
    );
  }

  #isSettledBut({ updates, deletions }: Pending<string, string>, isRefused: (wanted: Wanted) => boolean): boolean {
    const isAll = [...updates].every(([key, text]) => isRefused({ key, text }));
    return isAll && [...deletions].every((name) => this.busy.has(name));
  }

  /** Sets of ours that are there in another shape cannot be changed while rules use them. */
  #hasWrongSets(objects: ReadObjects | undefined): boolean {
    return tableSets.some((set) => {
      const seen = objects?.sets.get(set.name);
      return seen !== undefined && seen !== printSetText(set, this.family);
    });
  }

  #noteWritten({ notes }: Step): void {
    const { frontends, elements, chains, sets } = this.state;
    this.#isRebuilt = false;
    for (const [key, frontend] of notes.frontends) {
      if (frontend === undefined) this.#orders.delete(key);
      frontends.setObserved(key, frontend && this.#orders.take(key, frontend));
    }
    for (const [name, value] of notes.elements) elements.setObserved(name, value);
    for (const [name, text] of notes.chains) chains.setObserved(name, text);
    for (const [name, text] of notes.sets) sets.setObserved(name, text);
  }

  /** The next round reads the table again, and leaves out what the kernel refuses also alone. */
  async #findGuilty(step: Step, error: RefusedWritesError): Promise<void> {
    const suspects = findSuspects(step, error);
    if (suspects === undefined) return;
    const { chains, frontends } = this.state;
    const guilty = await tryAlone(step, suspects, this.#kernel);
    for (const [key, code] of guilty.chains) this.#refusals.addChain({ key, text: chains.getDesired(key) ?? '' }, code);
    for (const [key, code] of guilty.frontends)
      this.#refusals.addFrontend({ key, text: frontends.getDesired(key) ?? '' }, code);
  }

  /** What the kernel refuses to remove stays until `tend` tries again. It delays nothing else. */
  async #removeOneByOne({ writes }: Step): Promise<void> {
    for (const write of writes) {
      const name = write.op === 'delete-chain' || write.op === 'set-rules' ? write.chain : undefined;
      if (write.op === 'delete-set') await this.#remove(write, write.set);
      else if (name !== undefined) await this.#remove(write, name);
    }
  }

  async #remove(write: TableWrite, name: string): Promise<void> {
    try {
      await this.#kernel.write([write]);
    } catch (error) {
      if (!(error instanceof RefusedWritesError)) throw error;
      this.busy.add(name);
      this.cleanupFailures++;
      return;
    }
    this.busy.delete(name);
    if (write.op === 'delete-set') this.state.sets.setObserved(name, undefined);
    else this.state.chains.setObserved(name, write.op === 'delete-chain' ? undefined : '');
  }
}

function readerOf(gatherer: FrontendGatherer, clients: Map<string, RememberedClient[]>): ElementReader {
  return {
    restart: () => {
      gatherer.clear();
      clients.clear();
    },
    element: (set, key, value) => gatherer.add(set, key, value),
    client: (set, client) => {
      const known = clients.get(set);
      if (known === undefined) clients.set(set, [client]);
      else known.push(client);
    },
  };
}
