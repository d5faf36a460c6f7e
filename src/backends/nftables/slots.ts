/**
 * The slots of a list of endpoints: which endpoint each number leads to. A chain picks a number, by chance, in turn or by a hash of the
 * source, and a map has the endpoint.
 */
import { type Scheduler, schedulerName } from '../../model/scheduler';
import { type PlanEndpoint, takesNew } from '../../planner/plan';
import { hashTable } from './hash-table';

/** `hash`: the same source gets the same number. */
export type PickBy = 'random' | 'inc' | 'hash';

export interface Slots {
  readonly by: PickBy;
  /** The endpoint of each slot as `address . port`. Only with `hash` does the order matter; otherwise they are sorted. */
  readonly values: readonly string[];
}

/** Tables of a hash: at least 8 slots per endpoint. */
const usualTable = 251;
const mostInUsualTable = 30;
const largestTable = 4096;
const slotsPerEndpoint = 8;
/** The most endpoints that a table by hash has room for. */
export const mostHashed = Math.floor(largestTable / slotsPerEndpoint);

/** With weights, the numbers of slots that are tried. */
const weightedSizes = [256, 1024, 4096, 16_384] as const;
/** How far an endpoint's share may be from the wanted one. */
const shareTolerance = 0.01;

/** Whether this mode has the scheduler. Those that count connections need IPVS; endpoints are then picked at random. */
export function hasScheduler(scheduler: Scheduler, endpoints: number): boolean {
  const by = pickBy(scheduler);
  return by !== undefined && (by !== 'hash' || endpoints <= mostHashed);
}

export function assignSlots(endpoints: readonly PlanEndpoint[], scheduler: Scheduler | undefined): Slots {
  const taken = endpoints.filter(takesNew);
  const values = taken.map(({ address, port }) => `${address} . ${port}`);
  const wanted = (scheduler && pickBy(scheduler)) ?? 'random';
  const by = wanted === 'hash' && (taken.length > mostHashed || taken.length === 0) ? 'random' : wanted;
  const weights = taken.map(({ weight = 1 }) => weight);
  if (by === 'hash') return { by, values: hashTable(values, weights, tableSize(values.length)) };
  const counts = apportion(weights);
  // Nearly all lists are such, and some are long.
  if (counts.every((count) => count === 1)) return { by, values: values.sort() };
  return { by, values: values.flatMap((value, i) => Array<string>(counts[i] ?? 1).fill(value)).sort() };
}

function pickBy(scheduler: Scheduler): PickBy | undefined {
  switch (schedulerName(scheduler)) {
    case 'rr':
    case 'wrr':
      return 'inc';
    case 'sh':
    case 'mh':
      return 'hash';
    default:
      return undefined;
  }
}

/** How many slots each endpoint gets: as few as give each its share, within one percentage point. */
function apportion(weights: readonly number[]): readonly number[] {
  const divisor = weights.reduce(greatestDivisor, 0);
  const exact = weights.map((weight) => weight / divisor);
  const sum = exact.reduce((all, weight) => all + weight, 0);
  if (sum <= Math.max(weightedSizes[0], weights.length)) return exact;
  const shares = exact.map((weight) => weight / sum);
  for (const size of weightedSizes) {
    if (size < weights.length) continue;
    const counts = roundShares(shares, size);
    const all = counts.reduce((total, count) => total + count, 0);
    if (counts.every((count, i) => Math.abs(count / all - (shares[i] ?? 0)) <= shareTolerance)) return counts;
  }
  return roundShares(shares, weightedSizes[3]);
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

/** At least one each; the rest by the largest remainders. */
function roundShares(shares: readonly number[], size: number): number[] {
  const counts = shares.map((share) => Math.max(1, Math.floor(share * size)));
  const byRemainder = shares
    .map((share, i) => ({ i, remainder: share * size - (counts[i] ?? 0) }))
    .sort((a, b) => b.remainder - a.remainder || a.i - b.i);
  let left = size - counts.reduce((all, count) => all + count, 0);
  for (const { i } of byRemainder) if (left-- > 0) counts[i] = (counts[i] ?? 0) + 1;
  return counts;
}

/** A table of another size would give nearly all clients another endpoint, so there are only two sizes. */
function tableSize(endpoints: number): number {
  return endpoints <= mostInUsualTable ? usualTable : largestTable;
}
