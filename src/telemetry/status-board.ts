/** Collects the daemon's report about itself, as things happen. Its size is bounded. */
import type { Family } from '../model/address';
import type { ClusterWarning } from '../model/cluster';
import type { AnsweredRequest } from './metrics';
import type { OpenQuestions } from './open-questions';
import type { ApiStatus, DaemonStatus, FamilyStatus, WarningStatus, WatchStatus } from './status';
import { SyncHistory } from './sync-history';

/** Limit of objects with warnings. */
const mostWarned = 1000;
/** Limit of warnings per object. */
const mostWarnings = 10;
const mostErrors = 20;
/** A source reports an object's warnings just before the object itself: within this time. */
const sameTurnMs = 1000;

export interface SyncFacts {
  readonly ms: number;
  readonly written: number;
  readonly bytes: number;
  readonly services: number;
  readonly endpoints: number;
  readonly rules: Readonly<Record<string, number>>;
}

interface FamilyRecord {
  facts?: SyncFacts & { readonly atMs: number };
  pendingSinceMs?: number | undefined;
  failures: number;
  lastError?: string;
  readonly history: SyncHistory;
}

interface WatchRecord {
  watching: boolean;
  sinceMs: number;
  /** When the watch was lost. Set while it is not current. */
  lostMs?: number | undefined;
  isStale?: boolean;
  restarts: number;
  relists: number;
  lastEnd?: string;
}

/** Tells how the part of the daemon that writes the rules stands. */
export interface RuleWriter {
  /** Returns why no rules are written yet. */
  waitingFor(): readonly string[];
  /** Returns why something that the cluster needs is not served at all. */
  unserved(): readonly string[];
}

/** The name of a watch in warnings. */
function watchOf(resource: string): string {
  return `watch of ${resource}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

export class StatusBoard {
  readonly #families = new Map<Family, FamilyRecord>();
  readonly #watches = new Map<string, WatchRecord>();
  /** By object, the newest last. */
  readonly #warnings = new Map<string, readonly (ClusterWarning & { readonly atMs: number })[]>();
  #errors: DaemonStatus['errors'] = [];
  #repairs = 0;
  #repairedMs: number | undefined;
  #api: ApiStatus = { host: '', failures: 0 };
  readonly #now: () => number;
  readonly #questions: OpenQuestions | undefined;

  constructor(now: () => number = Date.now, questions?: OpenQuestions) {
    this.#now = now;
    this.#questions = questions;
  }

  queued(family: Family): void {
    this.#of(family).pendingSinceMs ??= this.#now();
  }

  synced(family: Family, facts: SyncFacts): void {
    const record = this.#of(family);
    const atMs = this.#now();
    record.facts = { ...facts, atMs };
    record.pendingSinceMs = undefined;
    record.failures = 0;
    record.history.add(atMs, facts.ms);
  }

  failed(family: Family, failures: number, reason: string): void {
    const record = this.#of(family);
    record.failures = failures;
    record.lastError = reason;
    this.#errors = [{ at: iso(this.#now()), message: `${family}: ${reason}` }, ...this.#errors].slice(0, mostErrors);
  }

  repaired(): void {
    this.#repairs++;
    this.#repairedMs = this.#now();
  }

  warned(warning: ClusterWarning): void {
    const { object, message } = warning;
    const others = (this.#warnings.get(object) ?? []).filter((each) => each.message !== message);
    this.#warnings.delete(object);
    this.#warnings.set(object, [...others, { ...warning, atMs: this.#now() }].slice(-mostWarnings));
    const [oldest] = this.#warnings.keys();
    if (this.#warnings.size > mostWarned && oldest !== undefined) this.#warnings.delete(oldest);
  }

  /** Drops the object's earlier warnings: its new state comes with its own. */
  objectChanged(object: string): void {
    const warnings = this.#warnings.get(object);
    if (warnings === undefined) return;
    const left = warnings.filter(({ atMs }) => atMs >= this.#now() - sameTurnMs);
    if (left.length > 0) this.#warnings.set(object, left);
    else this.#warnings.delete(object);
  }

  watchStarted(resource: string): void {
    const watch = this.#watch(resource);
    if (watch.watching) return;
    watch.watching = true;
    watch.sinceMs = this.#now();
  }

  watchEnded(resource: string, reason: string): void {
    const watch = this.#watch(resource);
    watch.watching = false;
    watch.sinceMs = this.#now();
    watch.restarts++;
    watch.lastEnd = reason;
  }

  relisted(resource: string): void {
    this.#watch(resource).relists++;
  }

  watchCurrent(resource: string): void {
    const watch = this.#watch(resource);
    watch.lostMs = undefined;
    watch.isStale = false;
    this.#warnings.delete(watchOf(resource));
  }

  watchLost(resource: string): void {
    const watch = this.#watch(resource);
    watch.lostMs ??= this.#now();
  }

  /** To be called when the watch has not been current for a minute. */
  watchStale(resource: string, reason: string): void {
    this.#watch(resource).isStale = true;
    const message = `changes are not seen (${reason}); the rules stay as they are`;
    this.warned({ object: watchOf(resource), kind: 'stale-watch', message });
  }

  watchGone(resource: string): void {
    this.#watches.delete(resource);
    this.#warnings.delete(watchOf(resource));
  }

  /** Counts lists and watches only: an event that the API server refuses does no harm. */
  requestDone({ code, method, host }: AnsweredRequest): void {
    if (method !== 'GET') return;
    const isAnswer = /^[123]/.test(code);
    this.#api = isAnswer
      ? { host, failures: 0, lastAnswer: iso(this.#now()) }
      : { ...this.#api, host, failures: this.#api.failures + 1, lastFailure: code === '<error>' ? 'no answer' : code };
  }

  /** Returns why the rules for the present state of the cluster are not in force. Empty when they are. */
  notReady(writer: RuleWriter): string[] {
    const waitingFor = writer.waitingFor();
    const unserved = writer.unserved();
    if (waitingFor.length > 0) return [...waitingFor, ...unserved, ...this.#openQuestions()];
    const unwritten = [...this.#families].flatMap(([family, { facts, failures, lastError = '' }]) => {
      if (failures > 0) return [`the ${family} rules cannot be written: ${lastError}`];
      return facts === undefined ? [`the first ${family} rules are being written`] : [];
    });
    return [...unserved, ...unwritten];
  }

  status(
    of: Pick<DaemonStatus, 'version' | 'node' | 'mode' | 'healthy' | 'nodeEligible'>,
    writer: RuleWriter,
  ): DaemonStatus {
    const { rss, heapUsed } = process.memoryUsage();
    const nowMs = this.#now();
    const families = [...this.#families].map(([family, record]) => [family, familyStatus(record, nowMs)] as const);
    const watches = [...this.#watches].map(([resource, record]) => [resource, watchStatus(record)] as const);
    return {
      ...of,
      now: iso(nowMs),
      started: iso(nowMs - process.uptime() * 1000),
      notReady: this.notReady(writer),
      families: Object.fromEntries(families),
      watches: Object.fromEntries(watches),
      api: this.#api,
      drift: { repairs: this.#repairs, ...(this.#repairedMs === undefined ? {} : { last: iso(this.#repairedMs) }) },
      unanswered: (this.#questions?.list() ?? []).map(({ question, reason, sinceMs, times }) => ({
        question,
        reason,
        since: iso(sinceMs),
        times,
      })),
      errors: this.#errors,
      warnings: [...this.#warnings.values()]
        .flat()
        .map(({ object, kind, message, atMs }): WarningStatus => ({ object, kind, message, at: iso(atMs) }))
        .sort((a, b) => b.at.localeCompare(a.at)),
      memory: { residentBytes: rss, heapBytes: heapUsed },
    };
  }

  /** An open question is the usual reason why a start waits. */
  #openQuestions(): string[] {
    return (this.#questions?.list() ?? []).map(({ question, reason }) => `cannot tell ${question}: ${reason}`);
  }

  #of(family: Family): FamilyRecord {
    let record = this.#families.get(family);
    if (record === undefined) this.#families.set(family, (record = { failures: 0, history: new SyncHistory() }));
    return record;
  }

  #watch(resource: string): WatchRecord {
    let watch = this.#watches.get(resource);
    if (watch === undefined) {
      watch = { watching: false, sinceMs: this.#now(), restarts: 0, relists: 0 };
      this.#watches.set(resource, watch);
    }
    return watch;
  }
}

function familyStatus(
  { facts, pendingSinceMs, failures, lastError, history }: FamilyRecord,
  nowMs: number,
): FamilyStatus {
  const state =
    failures > 0 ? 'failing' : facts === undefined ? 'waiting' : pendingSinceMs === undefined ? 'in force' : 'behind';
  return {
    state,
    services: facts?.services ?? 0,
    endpoints: facts?.endpoints ?? 0,
    rules: facts?.rules ?? {},
    ...(facts && { lastSync: { at: iso(facts.atMs), ms: facts.ms, rules: facts.written, bytes: facts.bytes } }),
    ...(pendingSinceMs === undefined ? {} : { pendingSince: iso(pendingSinceMs) }),
    failures,
    ...(failures === 0 || lastError === undefined ? {} : { lastError }),
    history: history.lastHour(nowMs),
  };
}

function watchStatus({ watching, sinceMs, lostMs, isStale, restarts, relists, lastEnd }: WatchRecord): WatchStatus {
  return {
    watching,
    since: iso(sinceMs),
    ...(isStale === true && lostMs !== undefined ? { staleSince: iso(lostMs) } : {}),
    restarts,
    relists,
    ...(lastEnd === undefined ? {} : { lastEnd }),
  };
}
