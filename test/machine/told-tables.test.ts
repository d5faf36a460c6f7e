import { askCanaries, tellingUnread } from '../../src/machine/told-tables';
import { absent, type Answer, found, unknown } from '../../src/model/answer';
import { createLogger } from '../../src/telemetry/logger';
import { OpenQuestions } from '../../src/telemetry/open-questions';
import type { KernelTables } from '../../src/xtables/kernel-tables';
import { noRules } from '../../src/xtables/parse-save';

const [stands, flushed, silent] = [found<true>(true), absent, unknown('no answer')];
const throws = 'throws';

test.each<[string, readonly (Answer<true> | typeof throws)[], Answer<true>['kind']]>([
  ['all stand', [stands, stands], 'found'],
  ['there is no family', [], 'found'],
  ['one was flushed', [stands, flushed], 'absent'],
  ['one was flushed, whatever the other says', [silent, flushed], 'absent'],
  ['one was flushed, though the other throws', [throws, flushed], 'absent'],
  ['one does not say', [stands, silent], 'unknown'],
  ['one throws', [throws, stands], 'unknown'],
])('%s', async (_, answers, kind) => {
  const drivers = answers.map((answer) => ({
    canariesStand: () => (answer === throws ? Promise.reject(new Error('broken')) : Promise.resolve(answer)),
  }));
  expect((await askCanaries(drivers)).kind).toBe(kind);
});

test('a table with rules that iptables cannot print is an open question until it is read in full', async () => {
  const questions = new OpenQuestions(createLogger({ verbosity: 0, format: 'json' }, () => undefined));
  const unread = new Map([['nat', 'iptables-save: incompatible.']] as const);
  let saved = { ...noRules(), unread };
  const tables: KernelTables = {
    variant: 'nft',
    save: () => Promise.resolve(saved),
    restore: () => Promise.resolve(),
    canariesStand: () => Promise.resolve(stands),
  };
  const told = tellingUnread(tables, 'IPv6', questions);
  expect(await told.save()).toBe(saved);
  expect(questions.list()).toMatchObject([
    {
      question: 'what rules of others ip6 nat has',
      reason: 'iptables-save: incompatible; vipwire reads its own rules there from nf_tables',
    },
  ]);
  saved = { ...saved, unread: new Map() };
  await told.save();
  expect(questions.list()).toEqual([]);
});
