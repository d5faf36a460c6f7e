import { parseScheduler, schedulerFlags, schedulerName, schedulerNames } from '../../src/model/scheduler';

test.each(schedulerNames)('%s is a scheduler', (name) => {
  expect(parseScheduler(name)).toBe(name);
});

test.each([
  ['mh,mh-port', 'mh', 'mh-port'],
  ['sh, sh-port ,sh-fallback', 'sh', 'sh-fallback,sh-port'],
  ['mh,mh-port,mh-port', 'mh', 'mh-port'],
  [' wlc ', 'wlc', ''],
])('"%s" is %s with the flags "%s"', (text, name, flags) => {
  const scheduler = parseScheduler(text);
  if (scheduler === undefined) throw new Error('is none');
  expect([schedulerName(scheduler), schedulerFlags(scheduler)]).toEqual([name, flags]);
});

test.each(['', 'RR', 'best', 'rr,', 'rr,rr-port', 'sh,mh-port', 'sh,', 'mh,mh-ports', 'sh-port', 'rr wrr'])(
  '"%s" is none',
  (text) => {
    expect(parseScheduler(text)).toBeUndefined();
  },
);
