/** Tables of iptables whose reads and writes are taken into account: for drift, and for what cannot be found out about them. */
import type { Family } from '../model/address';
import { absent, type Answer, found, type Unknown, unknown } from '../model/answer';
import type { OpenQuestions } from '../telemetry/open-questions';
import { type TableName, tableNames } from '../xtables/rules';
import type { KernelTables } from '../xtables/kernel-tables';
import type { DriftWatch } from './drift';

export const canaryQuestion = 'whether a table was flushed';

/** nft's name of a table, such as `ip filter`. */
export function nftTableName(family: Family, table: TableName): string {
  return `${family === 'IPv4' ? 'ip' : 'ip6'} ${table}`;
}

export function tellAnswer(questions: OpenQuestions, question: string, answer: Answer<unknown>): void {
  if (answer.kind === 'unknown') questions.unanswered(question, answer);
  else questions.answered(question);
}

export function askCanaries(drivers: readonly Pick<KernelTables, 'canariesStand'>[]): Promise<Answer<true>> {
  return askAll(drivers.map((driver) => () => driver.canariesStand()));
}

/** Looks in all families. absent: something of one family was flushed, whatever cannot be found out about another. */
export async function askAll(looks: readonly (() => Promise<Answer<true>>)[]): Promise<Answer<true>> {
  const answers = await Promise.all(looks.map((look) => look().catch(unknown)));
  if (answers.some(({ kind }) => kind === 'absent')) return absent;
  return answers.find((answer): answer is Unknown => answer.kind === 'unknown') ?? found(true);
}

/** The same tables. After each read it is logged which of them have rules that iptables cannot print. vipwire's own are known all the same. */
export function tellingUnread(tables: KernelTables, family: Family, questions: OpenQuestions): KernelTables {
  return {
    variant: tables.variant,
    save: async () => {
      const saved = await tables.save();
      for (const table of tableNames) {
        const reason = saved.unread.get(table);
        const question = `what rules of others ${nftTableName(family, table)} has`;
        tellAnswer(
          questions,
          question,
          reason === undefined
            ? absent
            : unknown(`${reason.replace(/\.$/, '')}; vipwire reads its own rules there from nf_tables`),
        );
      }
      return saved;
    },
    restore: (input) => tables.restore(input),
    canariesStand: () => tables.canariesStand(),
  };
}

/** The same tables. `drift` learns of every read and write through them. */
export function watchedTables(drift: DriftWatch, tables: KernelTables): KernelTables {
  return {
    variant: tables.variant,
    save: () => drift.ownRead(() => tables.save()),
    restore: (input) => drift.ownWrite(countTransactions(input), () => tables.restore(input)),
    canariesStand: () => tables.canariesStand(),
  };
}

/** iptables-nft-restore makes one transaction for each COMMIT. */
function countTransactions(input: string): number {
  return input.match(/^COMMIT$/gm)?.length ?? 0;
}
