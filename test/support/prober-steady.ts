/** A client that opens connections at a steady rate, whatever happens to them. A restart or a takeover must not harm them. */
import { ask, type Failure, type Target } from './prober';

export interface SteadyRequest extends Target {
  readonly perSecond: number;
}

export interface SteadyFailure extends Failure {
  /** When the connection was begun: milliseconds since the epoch. */
  readonly atMs: number;
  readonly afterMs: number;
}

export interface SteadyReport {
  readonly attempts: number;
  readonly failures: readonly SteadyFailure[];
  /** The number of connections, by the pod that answered. */
  readonly pods: Readonly<Record<string, number>>;
  /** Milliseconds from the start of the connect to the pod's answer, of the connections that got one. A lost SYN costs 1000. */
  readonly latencyMs: { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number };
  /** The longest time between two connects. More than a few intervals mean that the client itself was delayed. */
  readonly longestPauseMs: number;
}

export class SteadyClient {
  private readonly failures: SteadyFailure[] = [];
  private readonly latencies: number[] = [];
  private readonly pods: Record<string, number> = {};
  private readonly underWay = new Set<Promise<void>>();
  private readonly timer: NodeJS.Timeout;
  private readonly startedMs = performance.now();
  private attempts = 0;
  private lastMs = this.startedMs;
  private longestPauseMs = 0;

  constructor(private readonly request: SteadyRequest) {
    this.timer = setInterval(() => this.catchUp(), Math.max(1, 500 / request.perSecond));
  }

  private catchUp(): void {
    const due = ((performance.now() - this.startedMs) * this.request.perSecond) / 1000;
    while (this.attempts < due) {
      this.attempts++;
      const attempt = this.attempt().finally(() => this.underWay.delete(attempt));
      this.underWay.add(attempt);
    }
  }

  private async attempt(): Promise<void> {
    const atMs = Date.now();
    const begun = performance.now();
    this.longestPauseMs = Math.max(this.longestPauseMs, begun - this.lastMs);
    this.lastMs = begun;
    const answer = await ask(this.request);
    const afterMs = performance.now() - begun;
    if (answer.outcome !== 'ok') return void this.failures.push({ outcome: answer.outcome, atMs, afterMs });
    this.latencies.push(afterMs);
    this.pods[answer.pod] = (this.pods[answer.pod] ?? 0) + 1;
  }

  /** Opens no more connections, waits for those that are under way, and reports. */
  async stop(): Promise<SteadyReport> {
    clearInterval(this.timer);
    await Promise.all(this.underWay);
    const sorted = this.latencies.toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
    return {
      attempts: this.attempts,
      failures: this.failures,
      pods: this.pods,
      latencyMs: { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) },
      longestPauseMs: this.longestPauseMs,
    };
  }
}
