import { WatchCurrency } from '../../../src/sources/kubernetes/watch-currency';
import { recordLog, TestClock } from '../../servers/listening';

function started() {
  const clock = new TestClock(0);
  const { log, lines } = recordLog();
  const told: string[] = [];
  const tell = (what: string) => (resource: string, reason?: string) =>
    void told.push([what, resource, reason].filter((word) => word !== undefined).join(' '));
  const observer = {
    ...{
      watchStarted: tell('started'),
      watchEnded: tell('ended'),
      relisted: tell('relisted'),
      requestDone: () => undefined,
    },
    ...{ watchCurrent: tell('current'), watchLost: tell('lost'), watchStale: tell('stale'), watchGone: tell('gone') },
  };
  const currency = new WatchCurrency('services', { clock, log, observer, staleMs: 60_000 });
  /** Lets what waits for the clock go on. */
  const pass = async (): Promise<void> => {
    clock.wake();
    await new Promise(setImmediate);
  };
  return { currency, told, pass, messages: () => lines.map(({ level, msg }) => `${level} ${msg}`) };
}

test('one that is lost for a minute is a warning, once, and its return a line', async () => {
  const { currency, told, pass, messages } = started();
  currency.lost('not listed yet');
  currency.lost('connect ECONNREFUSED');
  await pass();
  await pass();
  currency.lost('connect ETIMEDOUT');
  currency.current();
  currency.current();
  expect(told).toEqual(['lost services not listed yet', 'stale services connect ECONNREFUSED', 'current services']);
  expect(messages()).toEqual([
    'warn the watch has not been current for some time; rules stay as they are',
    'info the watch is current again',
  ]);
});

test('one that comes back in time, or is no longer watched, is no warning', async () => {
  const { currency, told, pass, messages } = started();
  currency.lost('cut');
  currency.current();
  await pass();
  currency.lost('cut again');
  currency.stop();
  currency.stop();
  await pass();
  expect(told).toEqual(['lost services cut', 'current services', 'lost services cut again', 'gone services']);
  expect(messages()).toEqual([]);
});
