/** Finds out which iptables variant this machine uses, and whether it works. Asks until there is an answer. */
import type { Clock } from '../host/clock';
import { CommandError, type RunCommand } from '../host/command';
import { findXtablesLockHolder } from '../host/xtables-lock';
import type { Family } from '../model/address';
import { absent, type Answer, found, type Unknown, unknown } from '../model/answer';
import type { Logger } from '../telemetry/log';
import type { OpenQuestions } from '../telemetry/open-questions';
import { lockSeconds } from './driver';
import { type SavedTables, SaveParser } from './parse-save';
import { toolName } from './tool-names';
import { parseVersion, type Variant, type VariantTables, weighVariants } from './variant';

const questionTimeoutMs = 15_000;
const readTimeoutMs = 60_000;
/** After this time the caller is told what the question waits for. */
const silenceMs = 1000;
/** When to look at the other variant: some time after the start, and again, less and less often, until it can be read. */
const otherVariantMs = { first: 5000, most: 600_000 } as const;

export interface Patience {
  readonly clock: Pick<Clock, 'sleep'>;
  /** Time between two questions. */
  readonly pauseMs: number;
  /** The most time in all, whatever the answers are. */
  readonly limitMs: number;
}

export interface VariantQuestion {
  readonly run: RunCommand;
  readonly wanted: Variant | 'auto';
  readonly log: Logger;
  readonly questions: OpenQuestions;
  readonly patience: Patience;
}

const whichVariant = 'which iptables variant this machine uses';

/**
 * Returns the variant to use on this machine: the one that was asked for, else the better choice, or undefined when neither is
 * there. When a variant cannot be read, it asks again for a while. It warns when the other variant has rules of a proxy too,
 * because they apply as well.
 */
export async function detectVariant(question: VariantQuestion): Promise<Variant | undefined> {
  const { run, wanted, log, questions, patience } = question;
  if (wanted !== 'auto') {
    watchOther(question, wanted, otherVariantMs.first);
    return wanted;
  }
  const startedMs = performance.now();
  for (let asked = 0; ; asked++) {
    const [nft, legacy] = await Promise.all([readVariant(run, 'nft'), readVariant(run, 'legacy')]);
    const seen = { nft, legacy };
    const choice = weighVariants(seen, await askPlainCommand(run));
    const { doubt } = choice ?? {};
    const isLate = performance.now() - startedMs >= patience.limitMs;
    if (doubt !== undefined && asked < doubt.worthAsking && !isLate && !isOfRights(doubt.reason)) {
      questions.unanswered(whichVariant, unknown(doubt.reason));
      await patience.clock.sleep(patience.pauseMs);
      continue;
    }
    questions.answered(whichVariant);
    if (choice === undefined) return undefined;
    if (doubt !== undefined && !isOfRights(doubt.reason))
      log.warn(
        { variant: choice.variant, reason: doubt.reason },
        'cannot read all iptables tables; going by what is known',
      );
    const other = seen[choice.variant === 'nft' ? 'legacy' : 'nft'];
    if (other.kind === 'found') warnOfOther(choice.variant, other.value, log);
    else if (other.kind === 'unknown') watchOther(question, choice.variant, otherVariantMs.first);
    return choice.variant;
  }
}

/** Whether permissions are missing. Asking again does not help then. */
export function isOfRights(reason: string): boolean {
  return /Permission denied|Operation not permitted|must be root/.test(reason);
}

async function askPlainCommand(run: RunCommand): Promise<Variant | undefined> {
  return run('iptables', ['--version'], { timeoutMs: questionTimeoutMs }).then(
    ({ stdout }) => parseVersion(stdout)?.variant,
    () => undefined,
  );
}

/** Looks at the other variant later. Nothing waits for it. */
function watchOther(ask: Omit<VariantQuestion, 'wanted' | 'patience'>, chosen: Variant, afterMs: number): void {
  const { run, log, questions } = ask;
  const other = chosen === 'nft' ? 'legacy' : 'nft';
  const question = `whether the ${other} iptables has rules of a service proxy too`;
  const look = async (): Promise<void> => {
    const seen = await readVariant(run, other);
    if (seen.kind === 'unknown') {
      questions.unanswered(question, seen);
      watchOther(ask, chosen, Math.min(otherVariantMs.most, 3 * afterMs));
      return;
    }
    questions.answered(question);
    if (seen.kind === 'found') warnOfOther(chosen, seen.value, log);
  };
  setTimeout(
    () => void look().catch((error: unknown) => questions.unanswered(question, unknown(error))),
    afterMs,
  ).unref();
}

function warnOfOther(chosen: Variant, other: SavedTables, log: Logger): void {
  if (other.chains.nat.size > 0)
    log.warn(
      { variant: chosen, otherChains: other.chains.nat.size },
      'the other iptables variant has rules of a service proxy too, and both apply; remove one set with vipwire cleanup --iptables-variant',
    );
}

/** The tools are asked for the tables that are there. To ask the legacy tools for a table by name would load it into the kernel. */
async function readVariant(run: RunCommand, variant: Variant): Promise<Answer<VariantTables>> {
  if (variant === 'nft') {
    // On a kernel without nf_tables iptables-nft-save prints nothing.
    const usable = await askFamily(run, variant, 'IPv4');
    if (usable.kind !== 'found') return usable;
  }
  const parser = new SaveParser();
  try {
    const options = { onLine: parser.line, timeoutMs: readTimeoutMs };
    const { stderr = '' } = await run(toolName('iptables-save', variant, 'IPv4'), [], options);
    for (const line of stderr.split('\n')) parser.remark(line);
    const saved = parser.result();
    return found({ ...saved, unreadable: [...saved.unread.keys()] });
  } catch (error) {
    const answer = judge(error);
    return answer.kind === 'found' ? unknown(error) : answer;
  }
}

/**
 * Whether the family's nat table can be used. kube-proxy asks the same. absent: the tool is not installed, or the kernel does not
 * support its variant.
 * @param onWait is told what the question waits for when that takes long.
 */
export async function askFamily(
  run: RunCommand,
  variant: Variant,
  family: Family,
  onWait?: (what: string) => void,
): Promise<Answer<true>> {
  const tell = async (): Promise<void> => {
    const holder = variant === 'legacy' ? await findXtablesLockHolder() : undefined;
    if (holder !== undefined) onWait?.(explainHolder(holder));
  };
  const timer = onWait === undefined ? undefined : setTimeout(() => void tell(), silenceMs);
  try {
    const args = ['--wait', lockSeconds.toString(), '-t', 'nat', '-S', 'POSTROUTING'];
    await run(toolName('iptables', variant, family), args, { timeoutMs: questionTimeoutMs });
    return found(true);
  } catch (error) {
    const answer = judge(error);
    const isLocked = error instanceof CommandError && /xtables lock/.test(error.stderr);
    return answer.kind === 'unknown' && isLocked ? await explainHeldLock(answer) : answer;
  } finally {
    clearTimeout(timer);
  }
}

async function explainHeldLock({ reason }: Unknown): Promise<Unknown> {
  const holder = await findXtablesLockHolder();
  return unknown(holder === undefined ? reason : explainHolder(holder));
}

function explainHolder(holder: string): string {
  return `another process holds the xtables lock (/run/xtables.lock)${holder === '' ? '' : `: ${holder}`}; waiting for it`;
}

function judge(error: unknown): Answer<true> {
  if (!(error instanceof CommandError)) throw error;
  if (error.notFound) return absent;
  // The table has rules that only `nft` can print. The tools cannot list it, but they can still write to it.
  if (/is incompatible|parsing nftables rule failed/i.test(error.stderr)) return found(true);
  // The kernel has no nf_tables.
  if (/Failed to initialize nft: Protocol not supported|generation id: Invalid argument/.test(error.stderr))
    return absent;
  return unknown(error);
}
