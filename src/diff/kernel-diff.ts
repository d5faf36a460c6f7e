/** The difference between what a node's kernel has and what it should have, by Service. */
import type { Family } from '../model/address';
import type { TracedMode } from '../trace/rules-kind';
import type { UnreadTable } from '../xtables/save-text';
import type { Line } from './line-diff';

/**
 * stale: the kernel has what another state of the Service would give, so it was written for that state, or not written yet.
 * foreign: no state of the Service would give what the kernel has, so somebody else edited it, or a write was cut short.
 */
export type Cause = 'stale' | 'foreign';

/** The lines that differ in one place: a chain, a virtual server, a set and so on. */
export interface Hunk {
  /** `nat KUBE-SVC-...`, `set KUBE-CLUSTER-IP`, `kube-ipvs0` */
  readonly place: string;
  readonly lines: readonly Line[];
}

export interface ServiceDiff {
  /** `default/web`, or '' for what does not belong to a Service. */
  readonly service: string;
  readonly cause: Cause;
  /** What shows the cause, one line each. */
  readonly evidence: readonly string[];
  readonly hunks: readonly Hunk[];
}

export interface KernelDiff {
  readonly family: Family;
  readonly mode: TracedMode;
  /** '' if it is unknown. */
  readonly nodeName: string;
  /** How many Services the node should serve. */
  readonly services: number;
  /** The tables that could not be read in full. One whose rules are unknown was not compared. */
  readonly unread: readonly UnreadTable[];
  /** Sorted by Service. What does not belong to a Service comes last. */
  readonly differences: readonly ServiceDiff[];
}

/** The difference in one place. */
export interface PlaceDiff {
  readonly service: string;
  readonly hunk: Hunk;
  /** What shows that somebody else edited it. Undefined if it is stale. */
  readonly foreign: readonly string[] | undefined;
}

/** A Service with any foreign difference is foreign as a whole. */
export function joinPlaces(places: readonly PlaceDiff[]): ServiceDiff[] {
  const byService = new Map<string, PlaceDiff[]>();
  for (const place of places) byService.set(place.service, [...(byService.get(place.service) ?? []), place]);
  const order = ([a]: [string, unknown], [b]: [string, unknown]): number =>
    a === b ? 0 : a === '' ? 1 : b === '' ? -1 : a < b ? -1 : 1;
  return [...byService].sort(order).map(([service, own]) => {
    const cause = own.some((place) => place.foreign !== undefined) ? 'foreign' : 'stale';
    const foreign = new Set(own.flatMap((place) => place.foreign ?? []));
    const evidence = cause === 'foreign' ? [...foreign] : [describeStale(own)];
    return { service, cause, evidence, hunks: joinHunks(own) };
  });
}

function joinHunks(places: readonly PlaceDiff[]): Hunk[] {
  const lines = new Map<string, Line[]>();
  for (const { hunk } of places) lines.set(hunk.place, [...(lines.get(hunk.place) ?? []), ...hunk.lines]);
  return [...lines].map(([place, all]) => ({ place, lines: all }));
}

function describeStale(places: readonly PlaceDiff[]): string {
  const signs = new Set(places.flatMap(({ hunk }) => hunk.lines.map(({ sign }) => sign)));
  if (!signs.has(' ') && !signs.has('-')) return 'missing: not written yet, or removed completely';
  return signs.size === 1 && signs.has('-')
    ? 'left over: no Service needs it now'
    : 'matches another state of the Service';
}

/** Returns 0 if all is as it should be, 1 if anything differs, 2 if nothing differs but not everything could be compared. */
export function diffExitCode(diffs: readonly KernelDiff[]): 0 | 1 | 2 {
  if (diffs.some(({ differences }) => differences.length > 0)) return 1;
  return diffs.some(({ unread }) => unread.some(({ isKnown }) => !isKnown)) ? 2 : 0;
}
