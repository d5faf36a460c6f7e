/**
 * What to write so that a frontend becomes another one. The order makes it right after each change, also where a step ends in between:
 * endpoints in slots that nothing picks yet, then new endpoints in slots that are in use, then what leads to them, and in the end the slots
 * that nothing picks any longer.
 */
import { balanceOf, type FrontendElements, leadNames, type ListName, listNames } from './frontend-text';
import type { SetElement, SetObject } from './objects';
import { isSlotsKey, mapsOfKey, slotKey } from './observed-frontends';
import type { Change, ElementChange } from './steps';

const noFrontend: FrontendElements = { leads: {}, lists: { main: [], local: [] } };

export interface FrontendChange {
  /** Up to what leads to the endpoints. */
  readonly changes: readonly Change[];
  /** Of slots that nothing picks any longer. */
  readonly emptied: readonly Change[];
  /** What is there afterwards. */
  readonly result: FrontendElements | undefined;
}

/** @param wanted with slots that need not be those that the endpoints get. Undefined: it goes. */
export function diffFrontend(
  key: string,
  seen: FrontendElements | undefined,
  wanted: FrontendElements | undefined,
  setOf: (name: string) => SetObject | undefined,
): FrontendChange {
  const [before, after] = [seen ?? noFrontend, wanted ?? noFrontend];
  const filled: Change[] = [];
  const emptied: Change[] = [];
  const lists: Record<ListName, readonly (string | undefined)[]> = { main: [], local: [] };
  for (const list of listNames) {
    const map = setOf(mapsOfKey(key)[list] ?? '');
    if (map === undefined) continue;
    const isOrdered = isSlotsKey(key) || balanceOf(after, list)?.by === 'hash';
    const slots = isOrdered ? after.lists[list] : placeInSlots(before.lists[list], after.lists[list]);
    lists[list] = slots;
    const changes = diffSlots({ map, key }, before.lists[list], slots);
    filled.push(...changes.filled);
    emptied.push(...changes.emptied);
  }
  const leads = diffLeads({ key, setOf }, before, after);
  return {
    changes: [...filled, ...(leads === undefined ? [] : [leads])],
    emptied,
    result: wanted && { leads: wanted.leads, lists },
  };
}

/** Every endpoint that has a slot in use keeps it, so that a change is as small as can be. */
function placeInSlots(
  seen: readonly (string | undefined)[],
  wanted: readonly (string | undefined)[],
): readonly (string | undefined)[] {
  const left = new Map<string, number>();
  for (const value of wanted) if (value !== undefined) left.set(value, (left.get(value) ?? 0) + 1);
  const take = (value: string): boolean => {
    const count = left.get(value) ?? 0;
    if (count > 0) left.set(value, count - 1);
    return count > 0;
  };
  const slots = wanted.map((_, slot) => {
    const value = seen[slot];
    return value !== undefined && take(value) ? value : undefined;
  });
  let next = 0;
  for (const value of wanted) {
    if (value === undefined || !take(value)) continue;
    while (slots[next] !== undefined) next++;
    slots[next] = value;
  }
  return slots;
}

interface SlotsOfFrontend {
  readonly map: SetObject;
  readonly key: string;
}

function diffSlots(
  { map, key }: SlotsOfFrontend,
  before: readonly (string | undefined)[],
  after: readonly (string | undefined)[],
): { readonly filled: readonly Change[]; readonly emptied: readonly Change[] } {
  const element = (slot: number, value: string): ElementChange => ({
    set: map,
    element: { key: slotKey(key, slot), value },
  });
  const free: Change[] = [];
  const inUse: Change[] = [];
  const emptied: Change[] = [];
  for (let slot = 0; slot < Math.max(before.length, after.length); slot++) {
    const [old, value] = [before[slot], after[slot]];
    if (old === value) continue;
    if (old === undefined && value !== undefined) free.push({ additions: [element(slot, value)] });
    else if (old !== undefined && value === undefined) emptied.push({ deletions: [element(slot, old)] });
    else if (old !== undefined && value !== undefined)
      inUse.push({ deletions: [element(slot, old)], additions: [element(slot, value)] });
  }
  return { filled: [...free, ...inUse], emptied };
}

interface Leads {
  readonly key: string;
  readonly setOf: (name: string) => SetObject | undefined;
}

function diffLeads({ key, setOf }: Leads, before: FrontendElements, after: FrontendElements): Change | undefined {
  const maps = mapsOfKey(key);
  const deletions: ElementChange[] = [];
  const additions: ElementChange[] = [];
  for (const name of leadNames) {
    const set = setOf(maps[name] ?? '');
    const [old, value] = [before.leads[name], after.leads[name]];
    if (old === value || set === undefined) continue;
    if (old !== undefined) deletions.push({ set, element: { key, ...splitValue(old) } });
    if (value !== undefined) additions.push({ set, element: { key, ...splitValue(value) } });
  }
  return deletions.length + additions.length === 0 ? undefined : { deletions, additions };
}

/** Reads what `printValue` printed. */
function splitValue(text: string): Omit<SetElement, 'key'> {
  const at = text.indexOf(' # ');
  return at < 0 ? { value: text } : { value: text.slice(0, at), comment: text.slice(at + 3) };
}
