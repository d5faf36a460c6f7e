/** The machine's addresses, as far as they are known: read again and again, and at once when a monitor reports a change. */
import type { AddressMonitor } from '../host/address-monitor';
import type { Clock } from '../host/clock';
import { unknown } from '../model/answer';
import { sameValue } from '../model/same-value';
import type { OpenQuestions } from '../telemetry/open-questions';

/** They are read this often while the quickest of the last reads took less than a millisecond. */
const pollMs = 500;
const cheapMs = 1;
const judgedReads = 3;
/** Otherwise a monitor reports changes, and reads only find what it may have missed: soon after its start, and later rarely. */
const mostWatchedPauseMs = 10_000;
/** Without a monitor, reads get at most a hundredth of the time. */
const unwatchedShare = 0.01;
/** Least time between two starts of a monitor: one that cannot run must not be started again and again. */
const restartMs = 10_000;
/** The pause after a failed read. */
const failedPauseMs = 1000;
/** The pause before a read that a monitor asks for: many addresses may come at once. */
const settleMs = 50;

export const addressQuestion = 'which addresses this machine has';

export interface HostAddressesOptions {
  /** Returns them in canonical form. Throws when they cannot be read. */
  readonly read: () => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly questions: OpenQuestions;
  readonly monitor?: (onChange: () => void) => Pick<AddressMonitor, 'start' | 'close' | 'isWatching'>;
  readonly onChange: () => void;
}

export class HostAddresses {
  readonly #options: HostAddressesOptions;
  /** undefined: they could not be read yet. While reads fail, the last known ones stay. */
  #known: readonly string[] | undefined;
  #pauseMs = pollMs;
  /** How long the last reads took, in milliseconds. */
  #took: readonly number[] = [];
  #reading: Promise<void> | undefined;
  #isAskedAgain = false;
  #monitorStartedMs = Number.NEGATIVE_INFINITY;
  #signal: AbortSignal | undefined;
  readonly #monitor: ReturnType<NonNullable<HostAddressesOptions['monitor']>> | undefined;

  constructor(options: HostAddressesOptions) {
    this.#options = options;
    this.#monitor = options.monitor?.(() => void this.#heard());
  }

  get isKnown(): boolean {
    return this.#known !== undefined;
  }

  get addresses(): readonly string[] {
    return this.#known ?? [];
  }

  /** Resolves after the first read, however it ended; reads on until the signal is aborted. */
  async start(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#monitor?.close(), { once: true });
    await this.#readOnce();
    void this.#poll(signal);
  }

  async #poll(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#options.clock.sleep(this.#pauseMs, signal);
      if (signal.aborted) return;
      await this.#readOnce();
    }
  }

  /** Several changes during one read lead to one more read. */
  async #heard(): Promise<void> {
    const signal = this.#signal;
    if (this.#isAskedAgain || signal === undefined || signal.aborted) return;
    this.#isAskedAgain = true;
    await this.#options.clock.sleep(settleMs, signal);
    await this.#reading;
    this.#isAskedAgain = false;
    await this.#readOnce();
  }

  #readOnce(): Promise<void> {
    if (this.#signal?.aborted === true) return Promise.resolve();
    this.#reading ??= this.#readNow().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #readNow(): Promise<void> {
    const { read, questions, onChange } = this.#options;
    const startedMs = performance.now();
    let addresses: readonly string[];
    try {
      addresses = await read();
    } catch (error) {
      this.#pauseMs = failedPauseMs;
      questions.unanswered(addressQuestion, unknown(error));
      return;
    }
    questions.answered(addressQuestion);
    this.#took = [...this.#took, performance.now() - startedMs].slice(-judgedReads);
    this.#pauseMs = this.#planPause(Math.min(...this.#took));
    const hasChanged = this.#known === undefined || !sameValue(addresses, this.#known);
    this.#known = addresses;
    if (hasChanged) onChange();
  }

  #planPause(tookMs: number): number {
    const isEnded = this.#signal === undefined || this.#signal.aborted;
    if (tookMs < cheapMs || this.#monitor === undefined || isEnded) {
      this.#monitor?.close();
      return Math.max(pollMs, tookMs / unwatchedShare);
    }
    if (this.#monitor.isWatching) return Math.min(2 * this.#pauseMs, mostWatchedPauseMs);
    // Also a monitor that died is started again. Until one listens, reading goes on.
    const nowMs = this.#options.clock.now();
    if (nowMs - this.#monitorStartedMs >= restartMs) {
      this.#monitorStartedMs = nowMs;
      this.#monitor.start();
    }
    return Math.max(pollMs, tookMs / unwatchedShare);
  }
}
