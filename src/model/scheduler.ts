declare const schedulerBrand: unique symbol;
/**
 * How a virtual server of the kernel chooses a real server, in ipvsadm's words: a name, and for sh and mh also flags: `wrr`,
 * `mh,mh-port`, `sh,sh-fallback,sh-port`. Two schedulers that mean the same are the same text.
 */
export type Scheduler = string & { readonly [schedulerBrand]: true };

export const schedulerNames = [
  'rr',
  'wrr',
  'lc',
  'wlc',
  'sh',
  'dh',
  'sed',
  'nq',
  'mh',
  'lblc',
  'lblcr',
  'fo',
  'ovf',
] as const;
export type SchedulerName = (typeof schedulerNames)[number];

function isSchedulerName(text: string): text is SchedulerName {
  return schedulerNames.some((name) => name === text);
}

/** Returns undefined if the text is not a scheduler. The flags may come in any order; sh and mh take only their own. */
export function parseScheduler(text: string): Scheduler | undefined {
  const [name = '', ...flags] = text.split(',').map((word) => word.trim());
  if (!isSchedulerName(name)) return undefined;
  const known = name === 'sh' || name === 'mh' ? [`${name}-fallback`, `${name}-port`] : [];
  if (!flags.every((flag) => known.includes(flag))) return undefined;
  // The brand is made here and nowhere else: a known name, then its flags in one order.
  return [name, ...known.filter((flag) => flags.includes(flag))].join(',') as Scheduler;
}

export function schedulerName(scheduler: Scheduler): SchedulerName {
  const comma = scheduler.indexOf(',');
  // parseScheduler checked the name.
  return (comma < 0 ? scheduler : scheduler.slice(0, comma)) as SchedulerName;
}

/** Returns the flags as ipvsadm's `-b` takes them, `sh-fallback,sh-port`, or '' if there are none. */
export function schedulerFlags(scheduler: Scheduler): string {
  const comma = scheduler.indexOf(',');
  return comma < 0 ? '' : scheduler.slice(comma + 1);
}
