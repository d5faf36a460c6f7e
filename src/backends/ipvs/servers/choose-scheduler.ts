import { parseScheduler, schedulerFlags, schedulerName, type Scheduler } from '../../../model/scheduler';
import type { PlanEndpoint, ServicePortPlan } from '../../../planner/plan';
import type { IpvsSettings } from '../settings';

type Port = Pick<ServicePortPlan, 'scheduler'>;
type Schedulers = Pick<IpvsSettings, 'scheduler' | 'hasScheduler'>;

/** Schedulers that ignore weights -> those that are used instead for weighted endpoints. */
const weightedCounterparts: ReadonlyMap<string, Scheduler | undefined> = new Map([
  ['rr', parseScheduler('wrr')],
  ['lc', parseScheduler('wlc')],
]);

/** Chooses by the client's address. Without the flag, clients of a draining endpoint would be refused. */
const byClient = parseScheduler('sh,sh-fallback');

function isServed(scheduler: Scheduler | undefined, { hasScheduler }: Schedulers): scheduler is Scheduler {
  return scheduler !== undefined && hasScheduler(schedulerName(scheduler));
}

/** The Service's own scheduler if the kernel has it, else that of all Services. For weighted endpoints one that respects weights. */
export function chooseScheduler(port: Port, endpoints: readonly PlanEndpoint[], settings: Schedulers): Scheduler {
  const chosen = isServed(port.scheduler, settings) ? port.scheduler : settings.scheduler;
  // All schedulers respect a weight of 0.
  if (!endpoints.some(({ weight }) => weight !== undefined && weight > 0)) return chosen;
  const weighted = weightedCounterparts.get(chosen);
  return isServed(weighted, settings) ? weighted : chosen;
}

/** The scheduler for clients that should stay with an endpoint where persistence cannot be used. */
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

/** The schedulers that the ports ask for and the kernel does not have. */
export function missingSchedulers(ports: readonly Port[], { hasScheduler }: Schedulers): ReadonlySet<Scheduler> {
  const chosen = ports.flatMap(({ scheduler }) => scheduler ?? []);
  return new Set(chosen.filter((scheduler) => !hasScheduler(schedulerName(scheduler))));
}
