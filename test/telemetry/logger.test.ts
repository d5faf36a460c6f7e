import { createLogger } from '../../src/telemetry/logger';
import type { LogSettings } from '../../src/telemetry/logger';
import type { Logger } from '../../src/telemetry/log';

function written(settings: Partial<LogSettings>, log: (logger: Logger) => void): string[] {
  const lines: string[] = [];
  log(createLogger({ verbosity: 0, format: 'json', ...settings }, (line) => lines.push(line)));
  return lines;
}
const here = /^logger\.test\.ts:\d+$/;

describe('a JSON line', () => {
  const lineOf = (log: (logger: Logger) => void): unknown => JSON.parse(written({ verbosity: 6 }, log)[0] ?? '');

  test("is that of Kubernetes' components: time in milliseconds, place, message, verbosity, fields", () => {
    const before = Date.now();
    const [line = ''] = written({}, (log) => log.info({ table: 'nat', rules: 3 }, 'synced'));
    expect(line).toMatch(
      /^\{"ts":\d+,"caller":"logger\.test\.ts:\d+","msg":"synced","v":0,"table":"nat","rules":3\}\n$/,
    );
    const { ts } = JSON.parse(line) as { ts: number };
    expect(ts).toBeGreaterThanOrEqual(before);
    expect(ts).toBeLessThanOrEqual(Date.now());
  });

  test.each<[string, (logger: Logger) => void, object]>([
    ['an error has no verbosity', (log) => log.error({ err: new Error('cut') }, 'm'), { msg: 'm', err: 'cut' }],
    ['a warning is told from the rest', (log) => log.warn('m'), { msg: 'm', v: 0, level: 'warn' }],
    ['debug', (log) => log.debug('m'), { msg: 'm', v: 4 }],
    ['trace', (log) => log.trace('m'), { msg: 'm', v: 6 }],
  ])('%s', (_, log, fields) => {
    const { ts, caller, ...rest } = lineOf(log) as Record<string, unknown>;
    expect([typeof ts, caller]).toEqual(['number', expect.stringMatching(here)]);
    expect(rest).toEqual(fields);
  });
});

describe('a line of text', () => {
  const textOf = (log: (logger: Logger) => void): string => written({ format: 'text', verbosity: 6 }, log).join('');

  test("has klog's header: level, local time, process, place", () => {
    const now = new Date();
    const [line = ''] = written({ format: 'text' }, (log) => log.info('m'));
    const header = /^I(\d\d)(\d\d) (\d\d):(\d\d):\d\d\.\d{3}000 {1,7}(\d+) (\S+)\] "m"\n$/.exec(line);
    expect(header?.slice(1, 6).map(Number)).toEqual([
      now.getMonth() + 1,
      now.getDate(),
      now.getHours(),
      now.getMinutes(),
      process.pid,
    ]);
    expect(header?.[6]).toMatch(here);
    expect(line.indexOf(String(process.pid)) + String(process.pid).length).toBe(29);
  });

  test.each<[string, (logger: Logger) => void, string]>([
    ['fields after the message', (log) => log.info({ rules: 3, ok: true }, 'synced'), 'I "synced" rules=3 ok=true\n'],
    ['no fields', (log) => log.error('gone'), 'E "gone"\n'],
    ['a warning', (log) => log.warn('so so'), 'W "so so"\n'],
    ['debug', (log) => log.debug('m'), 'I "m"\n'],
    ['text', (log) => log.info({ why: 'a b', empty: '', quote: '"' }, 'm'), 'I "m" why="a b" empty="" quote="\\""\n'],
    ['text of two lines', (log) => log.info({ why: 'a\nb', n: 1 }, 'm'), 'I "m" why=<\n\ta\n\tb\n > n=1\n'],
    ['a message of two lines', (log) => log.info('a\nb'), 'I "a\\nb"\n'],
    ['values within', (log) => log.info({ v: { a: ['x'] } }, 'm'), 'I "m" v={"a":["x"]}\n'],
    ['nothing', (log) => log.info({ a: undefined, b: null }, 'm'), 'I "m" b=null\n'],
    ['an error', (log) => log.warn({ err: new Error('no route') }, 'm'), 'W "m" err="no route"\n'],
  ])('with %s', (_, log, line) => {
    expect(textOf(log).replace(/^(\w)\d{4} \S+ +\d+ \S+\]/, '$1')).toBe(line);
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
    for (const level of ['error', 'warn', 'info', 'debug', 'trace'] as const) log[level](level);
  });
  expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(levels);
});

test('no line holds a secret', () => {
  const lines = written({ format: 'text' }, (log) => {
    log.warn({ token: 'abc', headers: { Authorization: 'Bearer abc' } }, 'refused');
  });
  expect(lines.join('')).toContain('token="[redacted]" headers={"Authorization":"[redacted]"}');
});

test('a field cannot pass for the level, the time or the place of a line', () => {
  const [line = ''] = written({ format: 'text' }, (log) => log.warn({ level: 'info', time: 0, msg: 'x' }, 'm'));
  expect(line).toMatch(/^W\d{4} .* logger\.test\.ts:\d+\] "m" level="info" time=0 msg="x"\n$/);
});

test('another verbosity and format count from the next line on', () => {
  const lines: string[] = [];
  const log = createLogger({ verbosity: 0, format: 'json' }, (line) => lines.push(line));
  log.debug('before');
  log.adjust({ verbosity: 4 });
  log.debug('json');
  log.adjust({ format: 'text' });
  log.debug('text');
  expect(lines.map((line) => line.charAt(0))).toEqual(['{', 'I']);
});
