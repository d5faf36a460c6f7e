/**
 * A table that gives each slot an endpoint. It follows from the present endpoints alone, whatever was before. When one of n endpoints
 * goes, hardly more than its own slots change.
 *
 * Each slot has a distance to each endpoint, by a hash, and goes to the nearest one that has room. An endpoint with too many slots keeps the
 * nearest, and the others go on to their next one. This ends in the same table, whichever slot begins.
 */
import { createHash } from 'node:crypto';

interface Held {
  readonly slot: number;
  readonly distance: number;
}

/**
 * @param values sorted, at least one and at most `size`.
 * @param weights above 0, of the same length.
 */
export function hashTable(values: readonly string[], weights: readonly number[], size: number): readonly string[] {
  const sum = weights.reduce((all, weight) => all + weight, 0);
  const more = roomBeyond(values.length);
  const room = weights.map((weight) => Math.ceil((size * weight) / sum) + more);
  const distances = distancesOf(values, weights);
  const held = values.map((): Held[] => []);
  /** The distance at which each slot was turned away last. */
  const reached = new Float64Array(size).fill(-1);
  const searching = Array.from({ length: size }, (_, slot) => slot);
  for (let slot = searching.pop(); slot !== undefined; slot = searching.pop()) {
    const { endpoint, distance } = nextNearest(slot, reached[slot] ?? -1, values.length, distances);
    reached[slot] = distance;
    const turnedAway = admit(held[endpoint] ?? [], { slot, distance }, room[endpoint] ?? 0);
    if (turnedAway !== undefined) searching.push(turnedAway);
  }
  serveEveryone(held);
  const table = Array<string>(size).fill('');
  for (const [endpoint, slots] of held.entries()) for (const { slot } of slots) table[slot] = values[endpoint] ?? '';
  return table;
}

/**
 * Few endpoints get even shares. With more of them even shares would cost moves, since the room of each changes with their number; chance
 * alone then makes the shares even enough.
 */
function roomBeyond(endpoints: number): number {
  if (endpoints > 30) return Number.POSITIVE_INFINITY;
  return endpoints <= 8 ? 0 : endpoints <= 16 ? 1 : 2;
}

type Distances = (slot: number, endpoint: number) => number;

function distancesOf(values: readonly string[], weights: readonly number[]): Distances {
  const seeds = values.map((value) => createHash('sha256').update(value).digest().readUInt32BE(0));
  const hash: Distances = (slot, endpoint) => mix(seeds[endpoint] ?? 0, slot);
  if (weights.every((weight) => weight === weights[0])) return hash;
  // The nearest of several such distances is each endpoint's with a chance that is its share of the weights.
  return (slot, endpoint) => -Math.log((hash(slot, endpoint) + 1) / 2 ** 32) / (weights[endpoint] ?? 1);
}

/** A hash of two numbers, of 32 bits. */
function mix(a: number, b: number): number {
  let hash = Math.imul(a ^ Math.imul(b + 0x9e3779b9, 0x85ebca6b), 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 15), 0x27d4eb2f);
  hash = Math.imul(hash ^ (hash >>> 13), 0x165667b1);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The nearest endpoint beyond a distance. The first one, where two are as near. */
function nextNearest(
  slot: number,
  beyond: number,
  endpoints: number,
  distances: Distances,
): { readonly endpoint: number; readonly distance: number } {
  let nearest = { endpoint: 0, distance: Number.POSITIVE_INFINITY };
  for (let endpoint = 0; endpoint < endpoints; endpoint++) {
    const distance = distances(slot, endpoint);
    if (distance > beyond && distance < nearest.distance) nearest = { endpoint, distance };
  }
  return nearest;
}

/** Returns the slot that finds no room, if there is one: the farthest. */
function admit(slots: Held[], comer: Held, room: number): number | undefined {
  if (slots.length < room) {
    slots.push(comer);
    return undefined;
  }
  let farthest = 0;
  for (const [i, { distance }] of slots.entries()) if (distance > (slots[farthest]?.distance ?? 0)) farthest = i;
  const last = slots[farthest];
  if (last === undefined || last.distance <= comer.distance) return comer.slot;
  slots[farthest] = comer;
  return last.slot;
}

/** An endpoint that no slot was near to gets one of the endpoint that has most. */
function serveEveryone(held: readonly Held[][]): void {
  for (const slots of held) {
    if (slots.length > 0) continue;
    const richest = held.reduce((most, other) => (other.length > most.length ? other : most));
    const given = richest.pop();
    if (given !== undefined) slots.push(given);
  }
}
