/** What a node's kernel has against what it should have, by Service. */
import type { Family } from '../model/address';
import type { UnreadTable } from '../xtables/save-text';
import type { Line } from './line-diff';

/**
 * stale: the kernel has what another state of the Service gives: it was written for that, or not written yet.
 * foreign: what there is, is of no state of it: somebody else wrote, or a write was cut short.
 */
export type Cause = 'stale' | 'foreign';

/** A chain, a virtual server, a set ... */
export interface Hunk {
  /** `nat KUBE-SVC-...`, `set KUBE-CLUSTER-IP`, `kube-ipvs0` */
  readonly place: string;
  readonly lines: readonly Line[];
}

export interface ServiceDiff {
  /** `default/web`; '' for what belongs to none. */
  readonly service: string;
  readonly cause: Cause;
  /** How that is known, a line each. */
  readonly evidence: readonly string[];
  readonly hunks: readonly Hunk[];
}

export interface KernelDiff {
  readonly family: Family;
  readonly mode: 'iptables' | 'ipvs';
  /** '' where it is not known. */
  readonly nodeName: string;
  /** That the node should serve. */
  readonly services: number;
  /** Tables that could not be read in full; one of which nothing is known was not compared. */
  readonly unread: readonly UnreadTable[];
  /** Sorted by Service; what belongs to none comes last. */
  readonly differences: readonly ServiceDiff[];
}

/** What one place comes to. */
export interface PlaceDiff {
  readonly service: string;
  readonly hunk: Hunk;
  /** How it is known that somebody else wrote; undefined: it is stale. */
  readonly foreign: readonly string[] | undefined;
}

/** A Service of which anything is foreign is foreign. */
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
  if (!signs.has(' ') && !signs.has('-')) return 'missing: not written yet, or taken away whole';
  return signs.size === 1 && signs.has('-') ? 'left over: no Service has it now' : 'as for another state of it';
}

/** 0: as it should be. 1: different. 2: no difference is seen, and not all could be compared. */
export function diffExitCode(diffs: readonly KernelDiff[]): 0 | 1 | 2 {
  if (diffs.some(({ differences }) => differences.length > 0)) return 1;
  return diffs.some(({ unread }) => unread.some(({ isKnown }) => !isKnown)) ? 2 : 0;
}
