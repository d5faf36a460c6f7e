/** The machine's addresses, as far as they can be told: read again and again, and at once where a change is heard of. */
import type { AddressMonitor } from '../host/address-monitor';
import type { Clock } from '../host/clock';
import { unknown } from '../model/answer';
import { sameValue } from '../model/same-value';
import type { OpenQuestions } from '../telemetry/open-questions';

/** They are read this often while the quickest of some reads takes less than a millisecond. */
const pollMs = 500;
const cheapMs = 1;
const judgedReads = 3;
/** Otherwise a monitor tells, and a read only finds what it may have missed: soon after its start, and later now and then. */
const mostWatchedPauseMs = 10_000;
/** Where there is no monitor: for a hundredth of the time at most. */
const unwatchedShare = 0.01;
/** Between two starts of a monitor: one that cannot run must not be started again and again. */
const restartMs = 10_000;
/** Where they could not be read. */
const failedPauseMs = 1000;
/** Between two reads that a monitor asks for: many addresses may come at once. */
const settleMs = 50;

export const addressQuestion = 'which addresses this machine has';

export interface HostAddressesOptions {
  /** Canonical. Throws where it cannot be told. */
  readonly read: () => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly questions: OpenQuestions;
  readonly monitor?: (onChange: () => void) => Pick<AddressMonitor, 'start' | 'close' | 'isWatching'>;
  readonly onChange: () => void;
}

export class HostAddresses {
  /** undefined: they could not be read yet. What could be read once stays while it cannot be read. */
  private known: readonly string[] | undefined;
  private pauseMs = pollMs;
  /** Of the last reads, milliseconds. */
  private took: readonly number[] = [];
  private reading: Promise<void> | undefined;
  private isAskedAgain = false;
  private monitorStartedMs = Number.NEGATIVE_INFINITY;
  private signal: AbortSignal | undefined;
  private readonly monitor: ReturnType<NonNullable<HostAddressesOptions['monitor']>> | undefined;

  constructor(private readonly options: HostAddressesOptions) {
    this.monitor = options.monitor?.(() => void this.heard());
  }

  get isKnown(): boolean {
    return this.known !== undefined;
  }

  get addresses(): readonly string[] {
    return this.known ?? [];
  }

  /** Resolves after the first read, however it ended; reads on until the signal is aborted. */
  async start(signal: AbortSignal): Promise<void> {
    this.signal = signal;
    signal.addEventListener('abort', () => this.monitor?.close(), { once: true });
    await this.readOnce();
    void this.poll(signal);
  }

  private async poll(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.options.clock.sleep(this.pauseMs, signal);
      if (signal.aborted) return;
      await this.readOnce();
    }
  }

  /** Of several changes while one read is under way, one more read is made. */
  private async heard(): Promise<void> {
    const { signal } = this;
    if (this.isAskedAgain || signal === undefined || signal.aborted) return;
    this.isAskedAgain = true;
    await this.options.clock.sleep(settleMs, signal);
    await this.reading;
    this.isAskedAgain = false;
    await this.readOnce();
  }

  private readOnce(): Promise<void> {
    if (this.signal?.aborted === true) return Promise.resolve();
    this.reading ??= this.readNow().finally(() => (this.reading = undefined));
    return this.reading;
  }

  private async readNow(): Promise<void> {
    const { read, questions, onChange } = this.options;
    const startedMs = performance.now();
    let addresses: readonly string[];
    try {
      addresses = await read();
    } catch (error) {
      this.pauseMs = failedPauseMs;
      questions.unanswered(addressQuestion, unknown(error));
      return;
    }
    questions.answered(addressQuestion);
    this.took = [...this.took, performance.now() - startedMs].slice(-judgedReads);
    this.pauseMs = this.planPause(Math.min(...this.took));
    const hasChanged = this.known === undefined || !sameValue(addresses, this.known);
    this.known = addresses;
    if (hasChanged) onChange();
  }

  private planPause(tookMs: number): number {
    const isEnded = this.signal === undefined || this.signal.aborted;
    if (tookMs < cheapMs || this.monitor === undefined || isEnded) {
      this.monitor?.close();
      return Math.max(pollMs, tookMs / unwatchedShare);
    }
    if (this.monitor.isWatching) return Math.min(2 * this.pauseMs, mostWatchedPauseMs);
    // Also one that died. Until it listens, and where it never does, reading goes on.
    const nowMs = this.options.clock.now();
    if (nowMs - this.monitorStartedMs >= restartMs) {
      this.monitorStartedMs = nowMs;
      this.monitor.start();
    }
    return Math.max(pollMs, tookMs / unwatchedShare);
  }
}
