/** A set or a map of nf_tables. */
import { type Cidr, cidrContains, hostCidr, parseCidr } from '../model/address';
import { isArray, isObject, type Json, textOf } from './nft-json';

export interface NftElement {
  /** `10.96.0.10 . tcp . 80` */
  readonly key: string;
  /** What it leads to. `true` in a set. */
  readonly value: Json;
  /** '' if it has none. */
  readonly comment: string;
}

export class NftSet {
  readonly #exact = new Map<string, NftElement>();
  readonly #ranges: { readonly contains: (address: string) => boolean; readonly element: NftElement }[] = [];
  /** The elements of a set of addresses, as CIDRs. */
  readonly networks: string[] = [];

  constructor(
    elements: readonly Json[],
    isMap: boolean,
    /**
     * For a set that packets add elements to: how long these stay, if they do not say it themselves. Undefined if the ruleset says what
     * the elements are.
     */
    readonly timeoutSeconds: number | undefined,
  ) {
    for (const element of elements) {
      const [key, value] = isMap && isArray(element) ? element : [element, true];
      this.#add(key ?? null, value ?? null);
    }
  }

  get(key: string): NftElement | undefined {
    const found = this.#exact.get(key);
    if (found !== undefined || this.#ranges.length === 0) return found;
    return this.#ranges.find(({ contains }) => contains(key))?.element;
  }

  keys(): Iterable<string> {
    return this.#exact.keys();
  }

  elements(): Iterable<NftElement> {
    return this.#exact.values();
  }

  #add(wrapped: Json, value: Json): void {
    const { val: key = null, comment } =
      isObject(wrapped) && isObject(wrapped['elem']) ? wrapped['elem'] : { val: wrapped, comment: undefined };
    const element = { key: printValue(key), value, comment: textOf(comment) };
    const cidr = cidrOf(key);
    if (cidr !== undefined) this.networks.push(`${cidr.address}/${cidr.prefix}`);
    const { range } = isObject(key) ? key : { range: undefined };
    if (isObject(key) && 'prefix' in key && cidr !== undefined)
      this.#ranges.push({ contains: (address) => cidrContains(cidr, address), element });
    else if (isArray(range)) {
      const [low, high] = range.map(Number);
      this.#ranges.push({ contains: (text) => Number(text) >= (low ?? 0) && Number(text) <= (high ?? 0), element });
    } else this.#exact.set(element.key, element);
  }
}

/** Reads an address or a prefix. Returns undefined for anything else. */
export function cidrOf(json: Json): Cidr | undefined {
  if (typeof json === 'string' && /[.:]/.test(json)) return parseCidr(hostCidr(json));
  if (!isObject(json) || !isObject(json['prefix'])) return undefined;
  const { addr, len } = json['prefix'];
  return typeof addr === 'string' ? parseCidr(`${addr}/${textOf(len)}`) : undefined;
}

/** `10.96.0.10 . tcp . 80` */
export function printValue(json: Json): string {
  if (isObject(json) && isArray(json['concat'])) return json['concat'].map(textOf).join(' . ');
  return typeof json === 'string' || typeof json === 'number' ? String(json) : JSON.stringify(json);
}
