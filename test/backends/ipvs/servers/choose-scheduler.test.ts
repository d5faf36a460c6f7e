import {
  chooseScheduler,
  chooseStickyScheduler,
  missingSchedulers,
  serverOptions,
} from '../../../../src/backends/ipvs/servers/choose-scheduler';
import type { Scheduler, SchedulerName } from '../../../../src/model/scheduler';
import type { PlanEndpoint } from '../../../../src/planner/plan';
import { endpoint } from '../../../support/plans';

const kernelWithout = (...missing: SchedulerName[]) => ({
  scheduler: 'rr' as Scheduler,
  hasScheduler: (name: SchedulerName) => !missing.includes(name),
});
const asking = (scheduler: string): { scheduler: Scheduler } => ({ scheduler: scheduler as Scheduler });
const weighing = (...weights: (number | undefined)[]): PlanEndpoint[] =>
  weights.map((weight, i) => ({ ...endpoint(`10.244.1.${i + 2}`), ...(weight === undefined ? {} : { weight }) }));

describe('the scheduler', () => {
  test('is the default one if the Service asks for none, or for one that the kernel does not have', () => {
    expect(chooseScheduler({}, [], kernelWithout())).toBe('rr');
    expect(chooseScheduler(asking('lc'), [], kernelWithout('lc'))).toBe('rr');
    expect(chooseScheduler(asking('mh,mh-port'), [], kernelWithout())).toBe('mh,mh-port');
    expect(chooseScheduler(asking('mh,mh-port'), [], kernelWithout('mh'))).toBe('rr');
  });

  test('heeds weights', () => {
    expect(chooseScheduler({}, weighing(undefined, 9), kernelWithout())).toBe('wrr');
    expect(chooseScheduler(asking('lc'), weighing(2, 3), kernelWithout())).toBe('wlc');
    expect(chooseScheduler(asking('sed'), weighing(2, 3), kernelWithout())).toBe('sed');
    expect(chooseScheduler({}, weighing(2, 3), kernelWithout('wrr'))).toBe('rr');
  });

  test('is the plain one if all endpoints have the same weight, or none', () => {
    expect(chooseScheduler({}, weighing(undefined, 0, undefined), kernelWithout())).toBe('rr');
  });
});

describe('without persistence, a client stays with its endpoint', () => {
  test.each([
    ['rr', 'sh,sh-fallback'],
    ['sh', 'sh'],
    ['mh,mh-fallback', 'mh,mh-fallback'],
    // The client's port counts too, so each connection may go elsewhere.
    ['mh,mh-port', 'sh,sh-fallback'],
    ['sh,sh-fallback,sh-port', 'sh,sh-fallback'],
  ])('%s: %s', (own, chosen) => {
    expect(chooseStickyScheduler(asking(own), [], kernelWithout())).toBe(chosen);
  });

  test('unless the kernel has no way', () => {
    expect(chooseStickyScheduler({}, [], kernelWithout('sh'))).toBe('rr');
  });
});

test('options are in ipvsadm’s words', () => {
  expect(serverOptions('rr' as Scheduler, 0)).toBe('-s rr');
  expect(serverOptions('mh,mh-fallback,mh-port' as Scheduler, 10800)).toBe('-s mh -p 10800 -b mh-fallback,mh-port');
});

test('a scheduler that is asked for and missing is reported once', () => {
  const ports = [asking('lc'), asking('lc'), asking('sh,sh-port'), asking('rr'), {}];
  expect([...missingSchedulers(ports, kernelWithout('lc', 'sh'))]).toEqual(['lc', 'sh,sh-port']);
});
