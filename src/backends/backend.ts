import type { ClusterWarning } from '../model/cluster';
import type { Pieces } from '../model/pieces';
import type { Plan, PlanChanges } from '../planner/plan';

/** The number of rules, or of what a backend has instead of rules, by table. */
export type RuleCounts = Readonly<Record<string, number>>;

/** Whether an external or load-balancer IP may be made an address of this machine. */
export type AddressJudgement = 'free' | 'of a Node' | 'unknown';

/** How much a batch writes, for logs and metrics. */
export interface BatchSize {
  /** Rules that it writes, by table. */
  readonly rules: RuleCounts;
  readonly bytes: number;
  /** Tables that it writes to. */
  readonly tables: readonly string[];
  /** Calls of the tool. After each of them the rules are right. */
  readonly steps: number;
  /** Counts of what else it writes, by their names in the log. */
  readonly others?: Readonly<Record<string, number>>;
}

/**
 * The interface of a mode: one backend for one IP family. It renders the Plan in its own words (render), compares the result with
 * what the kernel was seen to hold (diff), and prints (print) or writes (apply) the difference. render, diff and print touch nothing
 * outside the process. When a fresh process reads the kernel after an apply, its diff is empty.
 *
 * It never retries. After apply has thrown, it is unknown what the kernel holds, and a read must come before the next diff. A read may
 * run beside an apply: what is written meanwhile counts as written.
 */
export interface Backend<Batch> {
  /** Renders the whole Plan. The same Plan gives the same bytes, whatever the order of its services. */
  render(plan: Plan): void;
  /** Gives what render would give for this Plan. Its cost depends on the services that changed since the last rendering. */
  renderChanges(plan: Plan, changes: PlanChanges): void;
  /** As render, or as renderChanges if `changes` are given, in pieces. Until it is done, no other rendering and no diff may begin. */
  renderPieces(plan: Plan, changes?: PlanChanges): Pieces<void>;
  /** Warnings about Services rendered since the last call that ask for what this machine cannot do. */
  takeWarnings?(): readonly ClusterWarning[];
  /** Returns what is to be written, or undefined when nothing is. Its cost depends on what differs. */
  diff(): Batch | undefined;
  /**
   * As diff, in pieces, for backends whose large diffs take long. No rendering and no apply may come between the pieces. When a read
   * comes between them, the batch must not be applied.
   */
  diffPieces?(): Pieces<Batch | undefined>;
  print(batch: Batch): string;
  size(batch: Batch): BatchSize;
  /** As size, in pieces. */
  sizePieces?(batch: Batch): Pieces<BatchSize>;
  /**
   * Reads what the kernel holds of ours, and of other proxies that this one takes over from. Returns true when everything was as it
   * should be until now and no longer is: somebody else wrote.
   */
  read(): Promise<boolean>;
  /** Writes the batch in steps. The rules are right after each step. When the signal is aborted, it ends after the current step. */
  apply(batch: Batch, signal?: AbortSignal): Promise<void>;
  /**
   * For modes that make VIPs addresses of this machine. An address of a Node is not made one, and an unknown one stays as it is. It is
   * called again when the judgement may have changed.
   */
  judgeAddresses?(judge: (address: string) => AddressJudgement): void;
  /** Does what is due as time passes. It is called every few seconds, and never beside another write. */
  tend?(): Promise<void>;
  /** Takes the batch as applied, for dry runs. */
  assumeApplied(batch: Batch): void;
  /** How often until now the kernel refused to let something go that is no longer used (a kube-proxy metric). */
  readonly cleanupFailures?: number;
  /** The number of rules that should be in force. It is asked for after every write, so it must be cheap. */
  ruleCounts(): RuleCounts;
}
