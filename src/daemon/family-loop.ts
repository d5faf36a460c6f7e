/** What serves one family on one machine: its backend, the reconciler that drives it, and what deletes stale flows after a round. */
import type PQueue from 'p-queue';
import type { AddressJudgement, Backend } from '../backends/backend';
import type { Family } from '../model/address';
import type { ServiceKey } from '../model/cluster';
import type { Plan } from '../planner/plan';
import { Reconciler } from '../reconciler/reconciler';
import { StaleFlowCleaner } from '../reconciler/stale-flow-cleaner';
import type { SyncReport } from '../reconciler/sync-report';
import type { MachineLoopsOptions } from './machine-loops-options';
import type { RoundEnd } from './rounds-waits';

export interface FamilyLoopOptions {
  readonly family: Family;
  readonly backend: Backend<unknown>;
  /** The one queue of all rounds of this machine. */
  readonly queue: PQueue;
  readonly onRoundEnded: (end: RoundEnd) => void;
}

export class FamilyLoop {
  readonly #family: Family;
  readonly #backend: Backend<unknown>;
  readonly #reconciler: Reconciler<unknown>;
  readonly #flows: StaleFlowCleaner | undefined;
  readonly #of: MachineLoopsOptions;
  readonly #onRoundEnded: (end: RoundEnd) => void;
  #toldCleanupFailures = 0;
  /** 'over': a round has read everything, however it ended. */
  #firstRound: 'due' | 'over' = 'due';

  constructor(of: MachineLoopsOptions, { family, backend, queue, onRoundEnded }: FamilyLoopOptions) {
    const { clock, telemetry, conntrack, log, questions, showBatch, state, settings, hostAddresses } = of;
    this.#of = of;
    this.#family = family;
    this.#backend = backend;
    this.#onRoundEnded = onRoundEnded;
    if (conntrack !== undefined)
      this.#flows = new StaleFlowCleaner({
        ...{ family, conntrack, clock, log, questions },
        nodeAddresses: () => new Set(hostAddresses()),
        onCleaned: (cleaned, count, ms) => telemetry.flowsDeleted(cleaned, count, ms),
      });
    this.#reconciler = new Reconciler({
      ...{ family, backend, state, settings, queue, clock },
      schedule: of.schedule,
      onWarning: of.onWarning,
      onQueued: () => telemetry.queued(family),
      onFailed: (failure) => {
        this.#firstRound = 'over';
        telemetry.failed(failure);
        onRoundEnded({ wentWell: false });
      },
      onSynced: (report) => this.#synced(report),
      ...(showBatch === undefined ? {} : { dryRun: true, onBatch: (text) => showBatch(family, text()) }),
    });
  }

  /** In force or on its way; undefined before the first round. */
  get plan(): Plan | undefined {
    return this.#reconciler.currentPlan;
  }

  /** The first round, which reads everything, is over. */
  get isTried(): boolean {
    return this.#firstRound === 'over';
  }

  /** The backend wants to be told that time passes. */
  get wantsTending(): boolean {
    return 'tend' in this.#backend;
  }

  /** The backend makes VIPs addresses of this machine. */
  get bindsAddresses(): boolean {
    return this.#backend.judgeAddresses !== undefined;
  }

  readAhead(): Promise<void> {
    return this.#reconciler.readAhead();
  }

  start(): void {
    this.#reconciler.start();
  }

  servicesChanged(keys: Iterable<ServiceKey>, triggerTimesMs: ReadonlyMap<ServiceKey, readonly number[]>): void {
    this.#reconciler.servicesChanged(keys, triggerTimesMs);
  }

  settingsChanged(): void {
    this.#reconciler.settingsChanged();
  }

  /** As Backend.judgeAddresses. What follows from it is written in the next round. */
  judgeAddresses(judge: (address: string) => AddressJudgement): void {
    this.#backend.judgeAddresses?.(judge);
    if (this.bindsAddresses && this.#backend.diff() !== undefined) this.#reconciler.servicesChanged([], new Map());
  }

  async tend(): Promise<void> {
    await this.#reconciler.tend();
    this.#tellCleanups();
  }

  checkKernel(): Promise<boolean> {
    return this.#reconciler.checkKernel();
  }

  /** Ends rounds after the write in hand; stopFlows comes after it. */
  stopRounds(): Promise<void> {
    return this.#reconciler.stop();
  }

  async stopFlows(): Promise<void> {
    await this.#flows?.stop();
  }

  #synced(report: SyncReport): void {
    this.#firstRound = 'over';
    this.#tellCleanups();
    const { plan } = this;
    if (plan === undefined) return;
    this.#of.telemetry.synced(report, plan, this.#backend.ruleCounts());
    this.#flows?.synced(report, () => this.plan);
    void this.#of.loopbackNodePorts?.follow(plan, report.reasons.has('start') ? undefined : report.after.keys());
    this.#onRoundEnded({ wentWell: true, reasons: report.reasons });
  }

  #tellCleanups(): void {
    const { cleanupFailures = 0 } = this.#backend;
    this.#of.telemetry.cleanupsFailed(this.#family, cleanupFailures - this.#toldCleanupFailures);
    this.#toldCleanupFailures = cleanupFailures;
  }
}
