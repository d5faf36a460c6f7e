/** Opens what tells of other programs' writes. */
import { NetlinkUnavailableError } from '../host/netlink';
import { NfGeneration } from '../host/nf-generation';
import { unknown } from '../model/answer';
import { DriftWatch, type DriftOptions } from './drift';
import type { MachineOptions } from './open-machine';
import type { Closable } from './ipvs-machine';
import { tellAnswer } from './told-tables';

/** The largest part of the time, in the long run, that is spent on reading what CNIs may have changed. */
const readShare = 0.1;

export interface DriftSigns extends Pick<DriftOptions, 'lookForFlush' | 'hasMore'> {
  /** Whether the generation of nf_tables' ruleset tells of changes to the rules. */
  readonly hasGeneration: boolean;
  /** What a look finds out. It completes "cannot tell". */
  readonly flushQuestion: string;
}

/** What is opened is added to `opened`, to be closed with the machine. */
export async function openDrift(
  { hasGeneration, flushQuestion, ...signs }: DriftSigns,
  { configuration, mode, clock, log, questions }: MachineOptions,
  opened: Closable[],
): Promise<DriftWatch> {
  const fullCheckMs = mode.checkPeriodMs(configuration);
  const readGeneration = hasGeneration ? await openGeneration({ fullCheckMs, log, questions }, opened) : undefined;
  return new DriftWatch({
    ...signs,
    clock,
    ...(readGeneration && { readGeneration }),
    onLook: (answer) => tellAnswer(questions, flushQuestion, answer),
    fullCheckMs,
    readShare,
  });
}

/** Returns undefined where the netlink addon does not load. After any other failure the generation is asked for again. */
async function openGeneration(
  { fullCheckMs, log, questions }: Pick<MachineOptions, 'log' | 'questions'> & { readonly fullCheckMs: number },
  opened: Closable[],
): Promise<(() => Promise<number>) | undefined> {
  const generation = new NfGeneration();
  opened.push(generation);
  const question = "which generation nf_tables' rules have";
  const read = async (): Promise<number> => {
    try {
      const now = await generation.readGeneration();
      questions.answered(question);
      return now;
    } catch (error) {
      questions.unanswered(question, unknown(error));
      throw error;
    }
  };
  try {
    await generation.readGeneration();
  } catch (error) {
    if (error instanceof NetlinkUnavailableError) {
      const seconds = fullCheckMs / 1000;
      log.warn(
        { reason: error.message },
        `changes that other programs make to single rules are only looked for every ${seconds} s`,
      );
      return undefined;
    }
  }
  return read;
}
