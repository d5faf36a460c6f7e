/** The loops of one machine: a reconciler a family, and what looks after the kernel beside them. They are replaced with the machine. */
import PQueue from 'p-queue';
import type { AgentTelemetry } from './agent-telemetry';
import type { AddressJudgement, Backend } from '../backends/backend';
import type { Clock } from '../host/clock';
import type { LateFamilies, Machine } from '../machine/machine';
import type { Conntrack } from '../host/conntrack';
import type { Family } from '../model/address';
import type { ClusterState, ClusterWarning, ServiceKey } from '../model/cluster';
import type { NodeSettings, Plan } from '../planner/plan';
import { Reconciler } from '../reconciler/reconciler';
import type { ScheduleSettings } from '../reconciler/schedule';
import { StaleFlowCleaner } from '../reconciler/stale-flow-cleaner';
import type { FullReason, SyncReport } from '../reconciler/sync-report';
import type { Logger } from '../telemetry/log';
import type { OpenQuestions } from '../telemetry/open-questions';
import type { DriftWatch } from '../xtables/drift';
import { messageOf } from '../model/error-message';

export interface MachineLoopsOptions {
  readonly machine: Machine;
  readonly schedule: ScheduleSettings;
  readonly state: ClusterState;
  readonly settings: () => NodeSettings;
  readonly hostAddresses: () => readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly telemetry: AgentTelemetry;
  readonly questions: OpenQuestions;
  readonly conntrack: Conntrack | undefined;
  readonly showBatch: ((family: Family, text: string) => void) | undefined;
  readonly onWarning: (warning: ClusterWarning) => void;
}

const tendMs = 5000;
/** A family that cannot be opened is asked again after the first pause; each pause is longer, up to the last. */
const askPauseMs = { first: 1000, most: 10_000 } as const;

interface FamilyLoop {
  readonly backend: Backend<unknown>;
  readonly reconciler: Reconciler<unknown>;
  readonly flows: StaleFlowCleaner | undefined;
}

interface RoundsWait {
  readonly reason: 'start' | 'settings';
  readonly left: Set<Family>;
  wentWell: boolean;
  readonly resolve: (wentWell: boolean) => void;
}

export class MachineLoops {
  private readonly loops = new Map<Family, FamilyLoop>();
  private readonly stopping = new AbortController();
  private readonly schedule: { -readonly [K in keyof ScheduleSettings]: ScheduleSettings[K] };
  /** Families whose rules are not in force yet. */
  private readonly behind: Set<Family>;
  private afterwards: Promise<void> | undefined;
  private readonly queue = new PQueue({ concurrency: 1 });
  private hasBegun = false;
  private isTending = false;
  private waiting: RoundsWait[] = [];
  /** Families whose first round, which reads everything, is not over. */
  private readonly untried: Set<Family>;

  constructor(private readonly options: MachineLoopsOptions) {
    this.schedule = { ...options.schedule };
    const { backends } = options.machine;
    this.behind = new Set([...backends.keys(), ...this.unserved.keys()]);
    this.untried = new Set(backends.keys());
    for (const [family, backend] of backends) this.loops.set(family, this.makeLoop(family, backend));
  }

  get families(): readonly Family[] {
    return [...this.loops.keys()];
  }

  /** Why families of this machine have no rules of ours yet, or old ones. */
  get unserved(): ReadonlyMap<Family, string> {
    return this.options.machine.late?.unserved ?? new Map<Family, string>();
  }

  /** In force or on their way. */
  get plans(): readonly Plan[] {
    return [...this.loops.values()].flatMap(({ reconciler }) => reconciler.currentPlan ?? []);
  }

  /** Looks at the kernel; rounds begin later. */
  async open(): Promise<void> {
    const { machine, clock, log } = this.options;
    const { drift, late } = machine;
    const { signal } = this.stopping;
    await drift?.start();
    for (const loop of this.loops.values()) this.lookAhead(loop);
    if (drift !== undefined)
      void repeat({ clock, log, signal, pauseMs: () => drift.pollMs, work: () => this.lookForDrift(drift) });
    if (late !== undefined) void this.askLate(late);
  }

  private lookAhead({ backend, reconciler }: FamilyLoop): void {
    const { clock, log } = this.options;
    void reconciler.readAhead();
    if (this.isTending || !('tend' in backend)) return;
    this.isTending = true;
    const { signal } = this.stopping;
    void repeat({ clock, log, signal, pauseMs: () => tendMs, work: () => this.tend() });
  }

  private async askLate(late: LateFamilies): Promise<void> {
    const { clock, log } = this.options;
    const { signal } = this.stopping;
    for (let pauseMs: number = askPauseMs.first; !late.isSettled; pauseMs = Math.min(askPauseMs.most, 2 * pauseMs)) {
      await clock.sleep(pauseMs, signal);
      if (signal.aborted) return;
      try {
        for (const [family, backend] of await late.askAgain()) await this.join(family, backend);
        this.dropAbsent();
      } catch (error) {
        log.warn({ reason: messageOf(error) }, 'a check of this machine failed');
      }
    }
  }

  /** A family that comes later, or whose settings are others now. The other one goes on as it is. */
  private async join(family: Family, backend: Backend<unknown>): Promise<void> {
    const old = this.loops.get(family);
    await old?.reconciler.stop();
    await old?.flows?.stop();
    if (this.stopping.signal.aborted) return;
    if (old !== undefined) this.options.telemetry.familyRestarted(family);
    const loop = this.makeLoop(family, backend);
    this.loops.set(family, loop);
    this.untried.add(family);
    this.lookAhead(loop);
    if (this.hasBegun) loop.reconciler.start();
    this.options.log.info(
      { family },
      old === undefined ? 'the family is served now' : 'the family has other settings now',
    );
  }

  /** Families that are not there after all. */
  private dropAbsent(): void {
    for (const family of this.behind)
      if (!this.loops.has(family) && !this.unserved.has(family)) this.behind.delete(family);
    this.goAfterwards();
  }

  private goAfterwards(): void {
    const { machine } = this.options;
    if (!this.hasBegun || this.behind.size > 0 || this.stopping.signal.aborted) return;
    this.afterwards ??= machine.afterwards?.(this.stopping.signal);
  }

  /** The first round, where all that it needs is known. */
  begin(): void {
    this.hasBegun = true;
    for (const { reconciler } of this.loops.values()) reconciler.start();
  }

  servicesChanged(keys: ReadonlySet<ServiceKey>, triggerTimesMs: ReadonlyMap<ServiceKey, readonly number[]>): void {
    for (const { reconciler } of this.loops.values()) reconciler.servicesChanged(keys, triggerTimesMs);
  }

  /** Whether this machine makes VIPs its own addresses. */
  get bindsAddresses(): boolean {
    return [...this.loops.values()].some(({ backend }) => backend.judgeAddresses !== undefined);
  }

  /** As Backend.judgeAddresses; what follows from it is written in the next round. */
  judgeAddresses(judge: (address: string) => AddressJudgement): void {
    for (const { backend, reconciler } of this.loops.values()) {
      backend.judgeAddresses?.(judge);
      if (backend.judgeAddresses !== undefined && backend.diff() !== undefined)
        reconciler.servicesChanged([], new Map());
    }
  }

  settingsChanged(): void {
    for (const { reconciler } of this.loops.values()) reconciler.settingsChanged();
  }

  /** Resolves after the next round for this reason of every family: whether all of them went well. */
  roundsOver(reason: 'start' | 'settings'): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.loops.size === 0) resolve(false);
      else this.waiting.push({ reason, left: new Set(this.families), wentWell: true, resolve });
    });
  }

  /** From the next round on. */
  setSchedule(schedule: ScheduleSettings): void {
    Object.assign(this.schedule, schedule);
  }

  /** Ends after the write in hand. */
  async stop(): Promise<void> {
    this.stopping.abort();
    for (const { resolve } of this.waiting) resolve(false);
    await Promise.all([...this.loops.values()].map(({ reconciler }) => reconciler.stop()));
    for (const { flows } of this.loops.values()) await flows?.stop();
    await this.afterwards;
    this.options.machine.close?.();
  }

  private makeLoop(family: Family, backend: Backend<unknown>): FamilyLoop {
    const { clock, telemetry, conntrack, log, questions, showBatch, state, settings, hostAddresses } = this.options;
    const flows =
      conntrack === undefined
        ? undefined
        : new StaleFlowCleaner({
            family,
            conntrack,
            nodeAddresses: () => new Set(hostAddresses()),
            clock,
            log,
            questions,
            onCleaned: (of, count, ms) => telemetry.flowsDeleted(of, count, ms),
          });
    const reconciler = new Reconciler({
      family,
      backend,
      state,
      settings,
      queue: this.queue,
      clock,
      schedule: () => this.schedule,
      onWarning: this.options.onWarning,
      onQueued: () => telemetry.queued(family),
      onFailed: (failure) => {
        this.untried.delete(family);
        telemetry.failed(failure);
        this.ended(family, 'failed');
      },
      onSynced: (report) => this.roundEnded(report),
      ...(showBatch === undefined ? {} : { dryRun: true, onBatch: (text) => showBatch(family, text()) }),
    });
    return { backend, reconciler, flows };
  }

  private roundEnded(report: SyncReport): void {
    this.untried.delete(report.family);
    const loop = this.loops.get(report.family);
    const plan = loop?.reconciler.currentPlan;
    if (loop === undefined || plan === undefined) return;
    this.options.telemetry.synced(report, plan, loop.backend.ruleCounts());
    loop.flows?.synced(report, () => loop.reconciler.currentPlan);
    this.ended(report.family, report.reasons);
    if (this.behind.delete(report.family)) this.goAfterwards();
  }

  private ended(family: Family, reasons: ReadonlySet<FullReason> | 'failed'): void {
    for (const wait of this.waiting) {
      if (reasons !== 'failed' && !reasons.has(wait.reason)) continue;
      wait.left.delete(family);
      wait.wentWell &&= reasons !== 'failed';
      if (wait.left.size === 0) wait.resolve(wait.wentWell);
    }
    this.waiting = this.waiting.filter(({ left }) => left.size > 0);
  }

  private async tend(): Promise<void> {
    for (const { reconciler } of this.loops.values()) await reconciler.tend();
  }

  private async lookForDrift(drift: DriftWatch): Promise<void> {
    if (this.untried.size > 0 || !(await drift.shouldRead())) return;
    let looked = false;
    try {
      const looks: boolean[] = [];
      for (const { reconciler } of this.loops.values()) looks.push(await reconciler.checkKernel());
      looked = looks.every(Boolean);
    } finally {
      if (!looked) drift.askAgain();
    }
  }
}

export interface Repetition {
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly pauseMs: () => number;
  readonly work: () => Promise<void>;
}

/** After each pause, until the signal is aborted; what fails is logged. */
async function repeat({ clock, log, signal, pauseMs, work }: Repetition): Promise<void> {
  for (;;) {
    await clock.sleep(pauseMs(), signal);
    if (signal.aborted) return;
    await work().catch((error: unknown) => log.warn({ reason: messageOf(error) }, 'a check of this machine failed'));
  }
}
