import type { Backend } from '../../src/backends/backend';
import { MachineFamilies, type OpenedFamily } from '../../src/machine/machine-families';
import { requireSomeFamily } from '../../src/machine/tables';
import type { Family } from '../../src/model/address';
import { absent, type Answer, found, unknown } from '../../src/model/answer';
import { UserError } from '../../src/model/user-error';
import { OpenQuestions } from '../../src/telemetry/open-questions';
import { createLogger } from '../../src/telemetry/logger';

const backend = (name: string): Backend<unknown> => ({ name }) as unknown as Backend<unknown>;
const opened = (name: string): Answer<OpenedFamily> => found({ backend: backend(name) });

type Answers = Record<Family, () => Answer<OpenedFamily>>;

function machine(answers: Answers): { families: MachineFamilies; lines: string[]; questions: OpenQuestions } {
  const lines: string[] = [];
  const questions = new OpenQuestions(createLogger({ verbosity: 0, format: 'json' }, (line) => lines.push(line)));
  const open = async (family: Family): Promise<Answer<OpenedFamily>> => {
    await Promise.resolve();
    return answers[family]();
  };
  return { families: new MachineFamilies(open, requireSomeFamily, questions), lines, questions };
}

test('what cannot be opened is asked again, said once, and comes', async () => {
  const answers: Answers = { IPv4: () => opened('4'), IPv6: () => unknown('out of order') };
  const { families, lines, questions } = machine(answers);
  expect([...(await families.openAll()).keys()]).toEqual(['IPv4']);
  for (let i = 0; i < 3; i++) expect(await families.askAgain()).toEqual(new Map());
  expect(lines).toHaveLength(1);
  expect(questions.list()).toMatchObject([{ question: 'whether IPv6 can be served', times: 4 }]);
  expect([...families.unserved]).toEqual([['IPv6', 'out of order']]);
  answers.IPv6 = () => opened('6');
  expect(await families.askAgain()).toEqual(new Map([['IPv6', backend('6')]]));
  expect(families.isSettled).toBe(true);
  expect(questions.list()).toEqual([]);
});

test('any error of a machine is no answer; a mistake of the user ends a start, and is a reason later', async () => {
  const fail = (error: Error) => (): never => {
    throw error;
  };
  const answers: Answers = { IPv4: () => opened('4'), IPv6: fail(new Error('netlink: ETIMEDOUT')) };
  const { families } = machine(answers);
  await families.openAll();
  expect([...families.unserved.values()]).toEqual(['netlink: ETIMEDOUT']);
  answers.IPv6 = fail(new UserError('the kernel has no IPVS'));
  await families.askAgain();
  expect([...families.unserved.values()]).toEqual(['the kernel has no IPVS']);
  await expect(machine(answers).families.openAll()).rejects.toThrow(UserError);
});

test('a family that is not there is not asked again', async () => {
  const { families } = machine({ IPv4: () => opened('4'), IPv6: () => absent });
  await families.openAll();
  expect(families.isSettled).toBe(true);
});

test.each([
  ['both fail: that may pass', 'exit 71', 'exit 71', true],
  ['rights are missing', 'Permission denied (you must be root)', 'Permission denied (you must be root)', false],
  ['no right in one family, and the other fails', 'Permission denied', 'exit 71', true],
])('%s', async (_, four, six, goesOn) => {
  const { families } = machine({ IPv4: () => unknown(four), IPv6: () => unknown(six) });
  if (goesOn) expect((await families.openAll()).size).toBe(0);
  else await expect(families.openAll()).rejects.toThrow(UserError);
});

test('settings that could not be told are asked again, and the family is opened anew where they are others', async () => {
  let again: Answer<OpenedFamily> = unknown('EMFILE');
  const unsure = found({ backend: backend('guess'), askAgain: () => Promise.resolve(again) });
  const { families } = machine({ IPv4: () => unsure, IPv6: () => absent });
  expect((await families.openAll()).get('IPv4')).toEqual(backend('guess'));
  expect(await families.askAgain()).toEqual(new Map());
  expect(families.isSettled).toBe(false);
  again = opened('known');
  expect(await families.askAgain()).toEqual(new Map([['IPv4', backend('known')]]));
  expect(families.isSettled).toBe(true);
});
