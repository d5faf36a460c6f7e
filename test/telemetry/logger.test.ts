import { createLogger } from '../../src/telemetry/logger';
import type { LogSettings } from '../../src/telemetry/logger';
import type { Logger } from '../../src/telemetry/log';

function written(settings: Partial<LogSettings>, log: (logger: Logger) => void): string[] {
  const lines: string[] = [];
  log(createLogger({ verbosity: 0, format: 'json', ...settings }, (line) => lines.push(line)));
  return lines;
}
const time = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;

test('a JSON line has the level as a word, ISO time, fields and message, and no more', () => {
  const [line = ''] = written({ name: 'v' }, (log) => log.warn({ table: 'nat', rules: 3 }, 'repaired'));
  expect(line.endsWith('\n')).toBe(true);
  expect(JSON.parse(line)).toEqual({
    level: 'warn',
    time: expect.stringMatching(time) as string,
    name: 'v',
    table: 'nat',
    rules: 3,
    msg: 'repaired',
  });
});

describe('a line of text', () => {
  const textOf = (log: (logger: Logger) => void, name?: string): string | undefined =>
    written({ format: 'text', ...(name === undefined ? {} : { name }) }, log)[0]?.replace(time, 'T');

  test.each<[string, (logger: Logger) => void, string]>([
    [
      'fields after the message',
      (log) => log.info({ rules: 3, ok: true }, 'synced'),
      'T info  synced rules=3 ok=true\n',
    ],
    ['no fields', (log) => log.error('gone'), 'T error gone\n'],
    ['a text with spaces', (log) => log.info({ why: 'a b', empty: '' }, 'm'), 'T info  m why="a b" empty=""\n'],
    ['a text of two lines', (log) => log.info({ why: 'a\nb' }, 'm'), 'T info  m why="a\\nb"\n'],
    ['values within', (log) => log.info({ v: { a: ['x'] } }, 'm'), 'T info  m v={"a":["x"]}\n'],
    ['an error', (log) => log.warn({ err: new Error('no route') }, 'm'), 'T warn  m err="no route"\n'],
    ['an error by its other name', (log) => log.warn({ error: new Error('cut') }, 'm'), 'T warn  m error=cut\n'],
  ])('with %s', (_, log, line) => {
    expect(textOf(log)).toBe(line);
  });

  test('with a name', () => {
    expect(textOf((log) => log.info('m'), 'IPv4')).toBe('T info  IPv4: m\n');
  });
});

test.each([
  [0, ['error', 'warn', 'info']],
  [3, ['error', 'warn', 'info']],
  [4, ['error', 'warn', 'info', 'debug']],
  [5, ['error', 'warn', 'info', 'debug']],
  [6, ['error', 'warn', 'info', 'debug', 'trace']],
  [10, ['error', 'warn', 'info', 'debug', 'trace']],
])('-v=%d lets %j through', (verbosity, levels) => {
  const lines = written({ verbosity }, (log) => {
    for (const level of ['error', 'warn', 'info', 'debug', 'trace'] as const) log[level]('m');
  });
  expect(lines.map((line) => (JSON.parse(line) as { level: string }).level)).toEqual(levels);
});
