import type { Family } from '../model/address';
import { joinHostPort } from '../model/address';
import type { EndpointSlice, SliceEndpoint, WeightRule } from '../model/cluster';
import type { Protocol } from '../model/protocol';
import type { PlanEndpoint } from './plan';
import { weightOf } from './weights';

/** One address:port behind a service port, whatever its readiness. */
export interface Candidate {
  /** `address:port`, what the candidates of a port are sorted by. */
  readonly text: string;
  readonly planned: PlanEndpoint;
  readonly conditions: SliceEndpoint;
}

/** What matches a slice's port with a Service's: targetPort plays no part. */
export function portMatch(name: string, protocol: Protocol): string {
  return `${protocol} ${name}`;
}

function byName(a: EndpointSlice, b: EndpointSlice): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function byText(a: Candidate, b: Candidate): number {
  return a.text < b.text ? -1 : a.text > b.text ? 1 : 0;
}

function isSorted(candidates: readonly Candidate[]): boolean {
  return candidates.every((candidate, i) => i === 0 || byText(candidates[i - 1] ?? candidate, candidate) < 0);
}

/** A slice, and the number that it has for a port. */
export interface PortOfSlice {
  readonly slice: EndpointSlice;
  readonly port: number;
}

/** By portMatch: the slices of this family that have the port, in the order of their names. */
export function indexSlices(
  slices: readonly EndpointSlice[],
  family: Family,
): ReadonlyMap<string, readonly PortOfSlice[]> {
  const index = new Map<string, PortOfSlice[]>();
  for (const slice of slices.filter((slice) => slice.family === family).sort(byName))
    for (const { name, protocol, port } of slice.ports) {
      const match = portMatch(name, protocol);
      const others = index.get(match);
      if (others === undefined) index.set(match, [{ slice, port }]);
      else others.push({ slice, port });
    }
  return index;
}

/** The candidates of one port, as mergeSlices. */
export function mergePort(
  found: readonly PortOfSlice[],
  nodeName: string,
  weights: readonly WeightRule[] = [],
): readonly Candidate[] {
  const merged = new Map<string, Candidate>();
  for (const { slice, port } of found)
    for (const endpoint of slice.endpoints) {
      const text = joinHostPort(endpoint.address, port);
      if (endpoint.terminating && merged.has(text)) continue;
      const isLocal = nodeName !== '' && endpoint.nodeName === nodeName;
      const weight = weightOf(endpoint, weights);
      const planned = { address: endpoint.address, port, isLocal, ...(weight === 1 ? {} : { weight }) };
      merged.set(text, { text, planned, conditions: endpoint });
    }
  const list = [...merged.values()];
  return isSorted(list) ? list : list.sort(byText);
}

/**
 * The candidates of each port that a Service's slices name in this family, by portMatch. Where slices name one
 * address:port twice, the later one by slice name counts, but a terminating one never stands in for one that is not: pod
 * addresses are used again, and endpoints move between slices.
 */
export function mergeSlices(
  slices: readonly EndpointSlice[],
  family: Family,
  nodeName: string,
  weights: readonly WeightRule[] = [],
): ReadonlyMap<string, readonly Candidate[]> {
  return new Map(
    [...indexSlices(slices, family)].map(([match, found]) => [match, mergePort(found, nodeName, weights)]),
  );
}
