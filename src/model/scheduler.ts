/**
 * How a virtual server of the kernel chooses, in ipvsadm's words: a name, and for sh and mh flags: `wrr`, `mh,mh-port`,
 * `sh,sh-fallback,sh-port`. Two texts of one meaning are one text.
 */

declare const schedulerBrand: unique symbol;
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
  return (schedulerNames as readonly string[]).includes(text);
}

/** Undefined where it is none. Flags may come in any order; those of sh are sh's alone. */
export function parseScheduler(text: string): Scheduler | undefined {
  const [name = '', ...flags] = text.split(',').map((word) => word.trim());
  if (!isSchedulerName(name)) return undefined;
  const known = name === 'sh' || name === 'mh' ? [`${name}-fallback`, `${name}-port`] : [];
  if (!flags.every((flag) => known.includes(flag))) return undefined;
  return [name, ...known.filter((flag) => flags.includes(flag))].join(',') as Scheduler;
}

export function schedulerName(scheduler: Scheduler): SchedulerName {
  const comma = scheduler.indexOf(',');
  return (comma < 0 ? scheduler : scheduler.slice(0, comma)) as SchedulerName;
}

/** '' without any; else as ipvsadm's `-b` takes them: `sh-fallback,sh-port`. */
export function schedulerFlags(scheduler: Scheduler): string {
  const comma = scheduler.indexOf(',');
  return comma < 0 ? '' : scheduler.slice(comma + 1);
}
