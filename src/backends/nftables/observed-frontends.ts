/** The frontends as the kernel was seen to hold them, with the slots of their endpoints. */
import {
  balanceOf,
  type FrontendElements,
  type LeadName,
  leadNames,
  type ListName,
  listNames,
  parseFrontend,
  printFrontend,
  printSlots,
} from './frontend-text';
import type { Pieces } from '../../model/pieces';
import { type SetName, setNames } from './names';
import { affinityPrefix, isAffinitySlots } from './render-affinity';
import { isNodePortKey } from './render-service';
import { tableSets } from './sets';

const frontendsPerPiece = 200;

type Lists = FrontendElements['lists'];

/** The map that each part of a frontend is in, by the kind of its key. */
const mapsOf: Readonly<
  Record<'vip' | 'node port', Readonly<Partial<Record<LeadName, SetName>> & Record<ListName, SetName>>>
> = {
  vip: {
    to: setNames.vips,
    refused: setNames.refusedVips,
    ranges: setNames.restrictedVips,
    main: setNames.endpoints,
    local: setNames.localEndpoints,
  },
  'node port': {
    to: setNames.nodePorts,
    refused: setNames.refusedNodePorts,
    main: setNames.nodePortEndpoints,
    local: setNames.localNodePortEndpoints,
  },
};

/** The maps of a frontend, or of a list of slots without one (`@SET`). */
export function mapsOfKey(key: string): Readonly<Partial<Record<LeadName | ListName, string>>> {
  if (isSlotsKey(key)) return { main: key.slice(1) };
  return mapsOf[isNodePortKey(key) ? 'node port' : 'vip'];
}

/** The key of a slot's element. */
export function slotKey(key: string, slot: number): string {
  return isSlotsKey(key) ? `${slot}` : `${key} . ${slot}`;
}

/** Whether the key is that of a list of slots without a frontend. */
export function isSlotsKey(key: string): boolean {
  return key.startsWith('@');
}

/** Which slot each endpoint has, where that does not follow from the text. */
export class SlotOrders {
  readonly #orders = new Map<string, Lists>();

  /** Returns the text. */
  take(key: string, frontend: FrontendElements): string {
    const text = isSlotsKey(key) ? printSlots(frontend.lists.main) : printFrontend(frontend);
    if (areInOrder(frontend) || areSame(frontend.lists, parseFrontend(text).lists)) this.#orders.delete(key);
    else this.#orders.set(key, frontend.lists);
    return text;
  }

  /** @param text the observed one. */
  read(key: string, text: string | undefined): FrontendElements {
    const frontend = parseFrontend(text ?? '');
    return { ...frontend, lists: this.#orders.get(key) ?? frontend.lists };
  }

  delete(key: string): void {
    this.#orders.delete(key);
  }

  /** Takes over what another one knows, except for these keys. */
  replace(other: SlotOrders, except: ReadonlySet<string>): void {
    for (const key of [...this.#orders.keys()]) if (!except.has(key)) this.#orders.delete(key);
    for (const [key, lists] of other.#orders) if (!except.has(key)) this.#orders.set(key, lists);
  }
}

/** Whether the slots certainly are those of the text. Most are, and this tells so at less cost than the text does. */
function areInOrder(frontend: FrontendElements): boolean {
  return listNames.every((list) => {
    const values = frontend.lists[list];
    if (values.length !== (balanceOf(frontend, list)?.slots ?? 0)) return false;
    for (let slot = 0; slot < values.length; slot++) {
      const [before, value] = [values[slot - 1], values[slot]];
      if (value === undefined || (before !== undefined && before > value)) return false;
    }
    return true;
  });
}

function areSame(a: Lists, b: Lists): boolean {
  return listNames.every((list) => sameSlots(a[list], b[list]));
}

function sameSlots(a: readonly (string | undefined)[], b: readonly (string | undefined)[]): boolean {
  for (let slot = 0; slot < Math.max(a.length, b.length); slot++) if (a[slot] !== b[slot]) return false;
  return true;
}

interface Gathered {
  readonly leads: Partial<Record<LeadName, string>>;
  readonly lists: Record<ListName, (string | undefined)[]>;
}

/** No list has more slots. An element with a larger number is somebody else's. */
const mostSlots = 65_536;
const ownSets = new Set(tableSets.map(({ name }) => name));

/** Puts the elements of our sets together, frontend by frontend. */
export class FrontendGatherer {
  readonly #gathered = new Map<string, Gathered>();
  /** `SET KEY` -> value of the elements that belong to no frontend. */
  readonly elements = new Map<string, string>();

  clear(): void {
    this.#gathered.clear();
    this.elements.clear();
  }

  add(set: string, key: string, value: string): void {
    const part = partOf.get(set);
    if (part !== undefined && isLead(part)) {
      this.#of(key).leads[part] = value;
      return;
    }
    const end = key.lastIndexOf(' . ');
    const isOfAffinity = part === undefined && isAffinitySlots(set);
    const slot = Number(isOfAffinity ? key : key.slice(end + 3));
    if (isOfAffinity && slot < mostSlots) this.#of(`@${set}`).lists.main[slot] = value;
    else if (part !== undefined && slot < mostSlots) this.#of(key.slice(0, end)).lists[part][slot] = value;
    else if (ownSets.has(set) || set.startsWith(affinityPrefix)) this.elements.set(`${set} ${key}`, value);
  }

  /** Returns the text of each frontend. */
  *finishInPieces(orders: SlotOrders): Pieces<Map<string, string>> {
    const texts = new Map<string, string>();
    for (const [key, frontend] of this.#gathered) {
      texts.set(key, orders.take(key, frontend));
      if (texts.size % frontendsPerPiece === 0) yield;
    }
    this.#gathered.clear();
    return texts;
  }

  #of(key: string): Gathered {
    const known = this.#gathered.get(key);
    if (known !== undefined) return known;
    const frontend: Gathered = { leads: {}, lists: { main: [], local: [] } };
    this.#gathered.set(key, frontend);
    return frontend;
  }
}

const partOf = new Map<string, LeadName | ListName>(
  Object.values(mapsOf).flatMap((maps) =>
    [...leadNames, ...listNames].flatMap((part) => (maps[part] === undefined ? [] : [[maps[part], part] as const])),
  ),
);

function isLead(part: LeadName | ListName): part is LeadName {
  return part !== 'main' && part !== 'local';
}
