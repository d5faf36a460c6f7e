import type { Family } from '../model/address';
import { joinHostPort } from '../model/address';
import type { EndpointSlice, Protocol, SliceEndpoint, WeightRule } from '../model/cluster';
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
  const ports = new Map<string, Map<string, Candidate>>();
  for (const slice of slices.filter((slice) => slice.family === family).sort(byName)) {
    for (const { name, protocol, port } of slice.ports) {
      const match = portMatch(name, protocol);
      const merged = ports.get(match) ?? new Map<string, Candidate>();
      ports.set(match, merged);
      for (const endpoint of slice.endpoints) {
        const text = joinHostPort(endpoint.address, port);
        if (endpoint.terminating && merged.has(text)) continue;
        const isLocal = nodeName !== '' && endpoint.nodeName === nodeName;
        const weight = weightOf(endpoint, weights);
        const planned = { address: endpoint.address, port, isLocal, ...(weight === 1 ? {} : { weight }) };
        merged.set(text, { text, planned, conditions: endpoint });
      }
    }
  }
  const candidates = new Map<string, readonly Candidate[]>();
  for (const [match, merged] of ports) {
    const list = [...merged.values()];
    candidates.set(match, isSorted(list) ? list : list.sort(byText));
  }
  return candidates;
}
