import { type Family, joinHostPort } from '../model/address';
import type { EndpointSlice, SliceEndpoint, WeightRule } from '../model/cluster';
import type { Protocol } from '../model/protocol';
import type { PlanEndpoint } from './plan';
import { weightOf } from './weights';

/** One address:port behind a service port, ready or not. */
export interface Candidate {
  /** `address:port`. The candidates of a port are sorted by it. */
  readonly text: string;
  readonly planned: PlanEndpoint;
  readonly conditions: SliceEndpoint;
}

/** The key by which a slice's port belongs to a Service's port. The targetPort plays no part in it. */
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

/** A slice, and its number of one named port. */
export interface PortOfSlice {
  readonly slice: EndpointSlice;
  readonly port: number;
}

/** Returns, by portMatch, the slices of this family that have the port, sorted by name. */
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

/**
 * Returns the candidates of one port. If slices name one address:port twice, the later slice by name counts, except that a
 * terminating endpoint never replaces another one: pod addresses are reused, and endpoints move between slices.
 */
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

/** Returns the candidates of each port that a Service's slices name in this family, by portMatch; see mergePort. */
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
