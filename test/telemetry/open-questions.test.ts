import { unknown } from '../../src/model/answer';
import { OpenQuestions } from '../../src/telemetry/open-questions';
import type { Logger } from '../../src/telemetry/log';

function create() {
  const lines: unknown[][] = [];
  const counted: string[] = [];
  const tell = (...line: unknown[]): number => lines.push(line);
  const log: Logger = { error: tell, warn: tell, info: tell, debug: tell, trace: tell };
  let nowMs = 1000;
  const questions = new OpenQuestions(
    log,
    (question) => counted.push(question),
    () => nowMs,
  );
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { questions, lines, counted, pass };
}

test('says a reason once, counts each time, and says that an answer has come', () => {
  const { questions, lines, counted, pass } = create();
  for (let i = 0; i < 3; i++) {
    questions.unanswered('which servers IPVS has', unknown(new Error('EPERM')), { family: 'IPv4' });
    pass(500);
  }
  expect(lines).toEqual([[{ family: 'IPv4', reason: 'EPERM' }, 'cannot tell which servers IPVS has; trying again']]);
  expect(counted).toHaveLength(3);
  expect(questions.list()).toEqual([{ question: 'which servers IPVS has', reason: 'EPERM', sinceMs: 1000, times: 3 }]);
  questions.unanswered('which servers IPVS has', unknown('ETIMEDOUT'));
  expect(lines).toHaveLength(2);
  questions.answered('which servers IPVS has');
  questions.answered('which servers IPVS has');
  expect(lines).toHaveLength(3);
  expect(questions.list()).toEqual([]);
});

test('holds a bounded number, and counts the others', () => {
  const { questions, counted } = create();
  for (let i = 0; i < 150; i++) questions.unanswered(`question ${i}`, unknown('no'));
  expect(questions.list()).toHaveLength(100);
  expect(counted).toHaveLength(150);
});

test('a tool that takes another time to fail has the same reason', () => {
  const { questions, lines } = create();
  questions.unanswered('x', unknown('ip: exit 1 after 3 ms: no'));
  questions.unanswered('x', unknown('ip: exit 1 after 21 ms: no'));
  expect(lines).toHaveLength(1);
  questions.unanswered('x', unknown('ip: exit 2 after 21 ms: no'));
  expect(lines).toHaveLength(2);
});
