import type { ClusterWarning } from '../model/cluster';
import type { Pieces } from '../model/pieces';
import type { Plan, PlanChanges } from '../planner/plan';

/** Rules (or what a backend has in their place) by table. */
export type RuleCounts = Readonly<Record<string, number>>;

/** Of an external or load-balancer IP: whether it may be made an address of this machine. */
export type AddressJudgement = 'free' | 'of a Node' | 'unknown';

/** What a batch writes, for logs and metrics. */
export interface BatchSize {
  /** By table. */
  readonly rules: RuleCounts;
  readonly bytes: number;
  /** Tables that it writes to. */
  readonly tables: readonly string[];
  /** Calls of the tool, each right by itself. */
  readonly steps: number;
  /** What else it writes, by the words of the log. */
  readonly others?: Readonly<Record<string, number>>;
}

/**
 * The seam: one backend for one IP family. It says the Plan in its own words (render), compares with what the kernel was seen to
 * hold (diff), shows (print) and writes (apply) the difference. render, diff and print touch nothing outside the
 * process. Read by a fresh process after apply, diff is empty.
 *
 * It never retries. After apply threw, what the kernel holds is unknown: read comes before the next diff. A read may go on
 * beside an apply: what was written meanwhile counts as written.
 */
export interface Backend<Batch> {
  /** From nothing. The same Plan gives the same bytes, whatever the order of its services. */
  render(plan: Plan): void;
  /** What render would give for this Plan, at the cost of the services that changed since the last one. */
  renderChanges(plan: Plan, changes: PlanChanges): void;
  /** As render, or renderChanges where there are changes, in pieces. No other rendering begins before it is done, and no diff. */
  renderPieces(plan: Plan, changes?: PlanChanges): Pieces<void>;
  /** What Services ask for and this machine cannot do, of those that were rendered since the last time. */
  takeWarnings?(): readonly ClusterWarning[];
  /** What is to be written, at the cost of what differs; undefined: nothing. */
  diff(): Batch | undefined;
  /**
   * As diff, in pieces, where a large one takes long. No rendering and no apply may come in between; after a read that does, the batch
   * is not to be applied.
   */
  diffPieces?(): Pieces<Batch | undefined>;
  print(batch: Batch): string;
  size(batch: Batch): BatchSize;
  /** As size, in pieces. */
  sizePieces?(batch: Batch): Pieces<BatchSize>;
  /**
   * Looks at what the kernel holds of ours, and of other proxies that this one takes over from. True: until now all was as it
   * should be, and it is not any more, so somebody else wrote.
   */
  read(): Promise<boolean>;
  /** In steps that are each right by themselves; with the signal aborted it ends after the step in hand. */
  apply(batch: Batch, signal?: AbortSignal): Promise<void>;
  /**
   * In modes that make VIPs addresses of this machine: those of Nodes are not, and what is unknown stays as it is. It is called again
   * when it may judge otherwise.
   */
  judgeAddresses?(judge: (address: string) => AddressJudgement): void;
  /** What the passing of time asks for, every few seconds and beside no other write. */
  tend?(): Promise<void>;
  /** Goes on as if the batch had been applied: dry runs. */
  assumeApplied(batch: Batch): void;
  /** Rules that should be in force. Cheap: it is asked after every write. */
  ruleCounts(): RuleCounts;
}
