/** What cannot be told of the tables, said once and listed in the status. */
import type { Family } from '../model/address';
import { absent, type Answer, found, type Unknown, unknown } from '../model/answer';
import type { OpenQuestions } from '../telemetry/open-questions';
import { type TableName, tableNames } from '../xtables/rules';
import type { KernelTables } from '../xtables/kernel-tables';

export const canaryQuestion = 'whether a table was flushed';

/** `ip filter`: nft's name of a table. */
export function nftTableName(family: Family, table: TableName): string {
  return `${family === 'IPv4' ? 'ip' : 'ip6'} ${table}`;
}

export function tellAnswer(questions: OpenQuestions, question: string, answer: Answer<unknown>): void {
  if (answer.kind === 'unknown') questions.unanswered(question, answer);
  else questions.answered(question);
}

/** Of all families: one that was flushed counts, whatever cannot be told of another. */
export async function askCanaries(drivers: readonly Pick<KernelTables, 'canariesStand'>[]): Promise<Answer<true>> {
  const answers = await Promise.all(drivers.map((driver) => driver.canariesStand().catch(unknown)));
  if (answers.some(({ kind }) => kind === 'absent')) return absent;
  return answers.find((answer): answer is Unknown => answer.kind === 'unknown') ?? found(true);
}

/** The same tables. After each look it is said which of them have rules that iptables cannot print, and that vipwire's are known. */
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
