import { schedulerFlags, schedulerName, type Scheduler } from '../../../model/scheduler';
import type { PlanEndpoint, ServicePortPlan } from '../../../planner/plan';
import type { IpvsSettings } from '../settings';

type Port = Pick<ServicePortPlan, 'scheduler'>;
type Schedulers = Pick<IpvsSettings, 'scheduler' | 'hasScheduler'>;

/** Those blind to weights, and what serves weighted endpoints in their place. */
const weightedKin: ReadonlyMap<string, Scheduler> = new Map([
  ['rr', 'wrr' as Scheduler],
  ['lc', 'wlc' as Scheduler],
]);

/** By the client's address. Without the flag, who falls to an endpoint that drains would be refused. */
const byClient = 'sh,sh-fallback' as Scheduler;

function isServed(scheduler: Scheduler | undefined, { hasScheduler }: Schedulers): scheduler is Scheduler {
  return scheduler !== undefined && hasScheduler(schedulerName(scheduler));
}

/** The Service's own where the kernel has it, else the one of all. */
export function chooseScheduler(port: Port, endpoints: readonly PlanEndpoint[], settings: Schedulers): Scheduler {
  const chosen = isServed(port.scheduler, settings) ? port.scheduler : settings.scheduler;
  // A weight of 0 is respected by all.
  if (!endpoints.some(({ weight }) => weight !== undefined && weight > 0)) return chosen;
  const weighted = weightedKin.get(chosen);
  return isServed(weighted, settings) ? weighted : chosen;
}

/** For clients that are to stay with an endpoint, where there can be no persistence. */
export function chooseStickyScheduler(port: Port, endpoints: readonly PlanEndpoint[], settings: Schedulers): Scheduler {
  const chosen = chooseScheduler(port, endpoints, settings);
  const isSticky = /^(sh|mh)\b/.test(chosen) && !chosen.endsWith('-port');
  return isSticky || !isServed(byClient, settings) ? chosen : byClient;
}

/** `-s sh -p 10800 -b sh-fallback`. */
export function serverOptions(scheduler: Scheduler, persistenceSeconds: number): string {
  const persistence = persistenceSeconds === 0 ? '' : ` -p ${persistenceSeconds}`;
  const flags = schedulerFlags(scheduler);
  return `-s ${schedulerName(scheduler)}${persistence}${flags === '' ? '' : ` -b ${flags}`}`;
}

/** What a Service asks for and does not get, since the kernel has no such scheduler. */
export function missingSchedulers(ports: readonly Port[], { hasScheduler }: Schedulers): ReadonlySet<Scheduler> {
  const chosen = ports.flatMap(({ scheduler }) => scheduler ?? []);
  return new Set(chosen.filter((scheduler) => !hasScheduler(schedulerName(scheduler))));
}
