/** The loops of one machine: one for each family, and what looks after the kernel beside them. They are replaced with the machine. */
import PQueue from 'p-queue';
import type { AddressJudgement, Backend } from '../backends/backend';
import type { LateFamilies } from '../machine/machine';
import type { Family } from '../model/address';
import type { ServiceKey } from '../model/cluster';
import { messageOf } from '../model/error-message';
import type { Plan } from '../planner/plan';
import type { DriftWatch } from '../machine/drift';
import { FamilyLoop } from './family-loop';
import type { MachineLoopsOptions } from './machine-loops-options';
import { repeat } from './repeat';
import { type AwaitedReason, type RoundEnd, RoundsWaits } from './rounds-waits';

/** The life of the loops. They may be stopped in any phase. */
type Phase =
  /** The kernel is looked at; nothing is written. */
  | { readonly name: 'looking ahead'; readonly behind: Set<Family> }
  /** Rounds have begun. `behind`: families whose rules are not in force yet. */
  | { readonly name: 'catching up'; readonly behind: Set<Family> }
  /** The rules of every family were in force once, so that what comes after that was begun. */
  | { readonly name: 'caught up'; readonly afterwards: Promise<void> | undefined };

const tendMs = 5000;
/** A family that cannot be opened is asked again after the first pause; each pause is longer, up to the last. */
const askPauseMs = { first: 1000, most: 10_000 } as const;

export class MachineLoops {
  readonly #options: MachineLoopsOptions;
  readonly #loops = new Map<Family, FamilyLoop>();
  readonly #stopping = new AbortController();
  readonly #queue = new PQueue({ concurrency: 1 });
  readonly #waits = new RoundsWaits();
  #phase: Phase;
  /** undefined: no backend has asked for it. */
  #tending: Promise<void> | undefined;

  constructor(options: MachineLoopsOptions) {
    this.#options = options;
    const { backends } = options.machine;
    this.#phase = { name: 'looking ahead', behind: new Set([...backends.keys(), ...this.unserved.keys()]) };
    for (const [family, backend] of backends) this.#loops.set(family, this.#makeLoop(family, backend));
  }

  get families(): readonly Family[] {
    return [...this.#loops.keys()];
  }

  /** Why families of this machine have no rules of ours yet, or old ones. */
  get unserved(): ReadonlyMap<Family, string> {
    return this.#options.machine.late?.unserved ?? new Map<Family, string>();
  }

  /** In force or on their way. */
  get plans(): readonly Plan[] {
    return [...this.#loops.values()].flatMap(({ plan }) => plan ?? []);
  }

  /** Whether this machine makes VIPs its own addresses. */
  get bindsAddresses(): boolean {
    return [...this.#loops.values()].some(({ bindsAddresses }) => bindsAddresses);
  }

  /** Looks at the kernel; rounds begin later. */
  async open(): Promise<void> {
    const { machine, clock, log } = this.#options;
    const { drift, late } = machine;
    const { signal } = this.#stopping;
    await drift?.start();
    for (const loop of this.#loops.values()) this.#lookAhead(loop);
    if (drift !== undefined)
      void repeat({ clock, log, signal, pauseMs: () => drift.pollMs, work: () => this.#lookForDrift(drift) });
    if (late !== undefined) void this.#askLate(late);
  }

  /** Starts the first rounds: all that they need is known. */
  begin(): void {
    if (this.#phase.name === 'looking ahead') this.#phase = { ...this.#phase, name: 'catching up' };
    for (const loop of this.#loops.values()) loop.start();
  }

  servicesChanged(keys: ReadonlySet<ServiceKey>, triggerTimesMs: ReadonlyMap<ServiceKey, readonly number[]>): void {
    for (const loop of this.#loops.values()) loop.servicesChanged(keys, triggerTimesMs);
  }

  settingsChanged(): void {
    for (const loop of this.#loops.values()) loop.settingsChanged();
  }

  /** As Backend.judgeAddresses; what follows from it is written in the next round. */
  judgeAddresses(judge: (address: string) => AddressJudgement): void {
    for (const loop of this.#loops.values()) loop.judgeAddresses(judge);
  }

  /** Resolves after the next round for this reason of every family: whether all of them went well. */
  roundsOver(reason: AwaitedReason): Promise<boolean> {
    return this.#waits.next(reason, this.families);
  }

  /** Ends after the write in hand. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#waits.giveUp();
    const loops = [...this.#loops.values()];
    await Promise.all(loops.map((loop) => loop.stopRounds()));
    for (const loop of loops) await loop.stopFlows();
    if (this.#phase.name === 'caught up') await this.#phase.afterwards;
    this.#options.machine.close?.();
  }

  #makeLoop(family: Family, backend: Backend<unknown>): FamilyLoop {
    const onRoundEnded = (end: RoundEnd): void => this.#roundEnded(family, end);
    return new FamilyLoop(this.#options, { family, backend, queue: this.#queue, onRoundEnded });
  }

  #roundEnded(family: Family, end: RoundEnd): void {
    this.#waits.ended(family, end);
    if (!end.wentWell || this.#phase.name === 'caught up') return;
    if (this.#phase.behind.delete(family)) this.#goAfterwards();
  }

  #goAfterwards(): void {
    const { machine } = this.#options;
    const { signal } = this.#stopping;
    if (this.#phase.name !== 'catching up' || this.#phase.behind.size > 0 || signal.aborted) return;
    this.#phase = { name: 'caught up', afterwards: machine.afterwards?.(signal) };
  }

  #lookAhead(loop: FamilyLoop): void {
    const { clock, log } = this.#options;
    const { signal } = this.#stopping;
    void loop.readAhead();
    if (loop.wantsTending && this.#tending === undefined)
      this.#tending = repeat({ clock, log, signal, pauseMs: () => tendMs, work: () => this.#tend() });
  }

  async #tend(): Promise<void> {
    for (const loop of this.#loops.values()) await loop.tend();
  }

  async #lookForDrift(drift: DriftWatch): Promise<void> {
    if ([...this.#loops.values()].some(({ isTried }) => !isTried) || !(await drift.shouldRead())) return;
    let looked = false;
    try {
      const looks: boolean[] = [];
      for (const loop of this.#loops.values()) looks.push(await loop.checkKernel());
      looked = looks.every(Boolean);
    } finally {
      if (!looked) drift.askAgain();
    }
  }

  async #askLate(late: LateFamilies): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stopping;
    for (let pauseMs: number = askPauseMs.first; !late.isSettled; pauseMs = Math.min(askPauseMs.most, 2 * pauseMs)) {
      await clock.sleep(pauseMs, signal);
      if (signal.aborted) return;
      try {
        for (const [family, backend] of await late.askAgain()) await this.#join(family, backend);
        this.#dropAbsent();
      } catch (error) {
        log.warn({ reason: messageOf(error) }, 'a check of this machine failed');
      }
    }
  }

  /** A family that comes later, or whose settings are others now. The other one goes on as it is. */
  async #join(family: Family, backend: Backend<unknown>): Promise<void> {
    const old = this.#loops.get(family);
    await old?.stopRounds();
    await old?.stopFlows();
    if (this.#stopping.signal.aborted) return;
    if (old !== undefined) this.#options.telemetry.familyRestarted(family);
    const loop = this.#makeLoop(family, backend);
    this.#loops.set(family, loop);
    this.#lookAhead(loop);
    if (this.#phase.name !== 'looking ahead') loop.start();
    this.#options.log.info(
      { family },
      old === undefined ? 'the family is served now' : 'the family has other settings now',
    );
  }

  /** Families that are not there after all are not waited for. */
  #dropAbsent(): void {
    if (this.#phase.name === 'caught up') return;
    const { behind } = this.#phase;
    for (const family of behind) if (!this.#loops.has(family) && !this.unserved.has(family)) behind.delete(family);
    this.#goAfterwards();
  }
}
