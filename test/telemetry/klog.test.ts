import { type LogEntry, printJson, printText } from '../../src/telemetry/klog';

const entry: LogEntry = {
  level: 'info',
  timeMs: new Date(2026, 0, 2, 3, 4, 5, 67).getTime(),
  caller: 'run.ts:85',
  message: 'a "word"',
  fields: { family: 'IPv4', services: 3, list: ['a'] },
};

test.each([
  ['error', 'E'],
  ['warn', 'W'],
  ['info', 'I'],
  ['debug', 'I'],
  ['trace', 'I'],
] as const)("%s: klog's text", (level, letter) => {
  const pid = String(process.pid).padStart(7);
  expect(printText({ ...entry, level })).toBe(
    `${letter}0102 03:04:05.067000 ${pid} run.ts:85] "a \\"word\\"" family="IPv4" services=3 list=["a"]`,
  );
});

test('a value of several lines is a block', () => {
  expect(printText({ ...entry, fields: { reason: 'one\ntwo' } })).toMatch(/ reason=<\n\tone\n\ttwo\n >$/);
});

test.each([
  ['error', {}],
  ['warn', { v: 0, level: 'warn' }],
  ['info', { v: 0 }],
  ['debug', { v: 4 }],
  ['trace', { v: 6 }],
] as const)("%s: the JSON of Kubernetes' components", (level, words) => {
  const { timeMs: ts, caller, message: msg, fields } = entry;
  expect(JSON.parse(printJson({ ...entry, level }))).toEqual({ ts, caller, msg, ...words, ...fields });
});
