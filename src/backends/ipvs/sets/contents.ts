/** The sets of one family: what they should hold, what they were seen to hold, and how these differ. */
import { DeltaTracker } from '../../../delta/delta-tracker';
import type { Family } from '../../../model/address';
import { bigSetName, knownSets, type SetName, setName, setNames, sharedSetLimit } from './names';
import { type SavedSets, setOf, type SetWrites } from './ipset-text';

/**
 * Elements are counted, because several Services may have the same one.
 *
 * With kube-proxy's parameters a set holds at most 65,536 elements. A set that should hold more moves as a whole to a bigger one with a
 * name of ours, and the rules match that one. So there are never more rules, and they change from one complete set to the other.
 */
export class SetContents {
  /** Name in the kernel -> parameters. */
  readonly #sets = new DeltaTracker<string, string>();
  /** `SET ENTRY` -> options. */
  readonly #elements = new DeltaTracker<string, string>();
  /** For each set: `SET ENTRY` with the set's usual name -> how often it was added. */
  readonly #counts = new Map<SetName, Map<string, number>>();
  /** Sets that have moved to a bigger one. */
  readonly #big = new Set<SetName>();
  readonly #family: Family;
  readonly #limit: number;

  constructor(family: Family, limit = sharedSetLimit) {
    this.#family = family;
    this.#limit = limit;
    this.clear();
  }

  /** Makes every set desired, without elements. */
  clear(): void {
    this.#sets.clearDesired();
    this.#elements.clearDesired();
    this.#big.clear();
    for (const set of setNames) {
      this.#counts.set(set, new Map());
      this.#want(setName(this.#family, set));
    }
  }

  /** The entry must come from names.ts. All adds of one entry must have the same options. */
  add(set: SetName, entry: string, options = ''): void {
    const counts = this.#countsOf(set);
    const element = `${setName(this.#family, set)} ${entry}`;
    const count = counts.get(element) ?? 0;
    counts.set(element, count + 1);
    if (count > 0) return;
    this.#elements.setDesired(this.#placed(set, element), options);
    if (counts.size === this.#limit + 1) this.#grow(set);
  }

  /** Undoes one add. */
  remove(set: SetName, entry: string): void {
    const counts = this.#countsOf(set);
    const element = `${setName(this.#family, set)} ${entry}`;
    const count = counts.get(element) ?? 0;
    if (count > 1) counts.set(element, count - 1);
    if (count !== 1) return;
    counts.delete(element);
    this.#elements.deleteDesired(this.#placed(set, element));
    if (counts.size === this.#limit) this.#shrink(set);
  }

  /** The name that rules match. It changes when the set outgrows kube-proxy's parameters, and when it fits again. */
  nameInForce(set: SetName): string {
    return (this.#big.has(set) ? bigSetName(this.#family, set) : undefined) ?? setName(this.#family, set);
  }

  size(set: SetName): number {
    return this.#countsOf(set).size;
  }

  /** Entry -> options, as the set was seen or last written. */
  observed(set: SetName): ReadonlyMap<string, string> {
    const prefix = `${setName(this.#family, set)} `;
    const entries = new Map<string, string>();
    for (const [element, options] of this.#elements.observedEntries())
      if (element.startsWith(prefix)) entries.set(element.slice(prefix.length), options);
    return entries;
  }

  /** As DeltaTracker.beginRead. Call the returned function with what the read found, or with undefined when it found nothing. */
  beginRead(): (found: SavedSets | undefined) => void {
    const [sets, elements] = [this.#sets.beginRead(), this.#elements.beginRead()];
    return (found) => {
      this.#sets.endRead(sets);
      this.#elements.endRead(elements);
      if (found === undefined) return;
      this.#sets.replaceObserved(found.sets, sets);
      this.#elements.replaceObserved(found.elements, elements);
    };
  }

  /** Takes note of what a read found. */
  replaceObserved({ sets, elements }: SavedSets): void {
    this.#sets.replaceObserved(sets);
    this.#elements.replaceObserved(elements);
  }

  get inSync(): boolean {
    return this.#sets.inSync && this.#elements.inSync;
  }

  /** Returns undefined when nothing differs. */
  pendingWrites(): SetWrites | undefined {
    if (this.inSync) return undefined;
    const sets = this.#sets.pending();
    const { updates, deletions } = this.#elements.pending();
    const [deletionsFirst, deletionsLast] = this.#splitDeletions(deletions);
    const creates = [...sets.updates.keys()];
    return { creates, deletionsFirst, additions: updates, deletions: deletionsLast, destroys: [...sets.deletions] };
  }

  /** Takes note of what was written. */
  setApplied({ creates, deletionsFirst, additions, deletions, destroys }: SetWrites): void {
    for (const name of creates) this.#sets.setObserved(name, knownSets.get(name)?.parameters);
    for (const element of [...deletionsFirst, ...deletions]) this.#elements.setObserved(element, undefined);
    for (const [element, options] of additions) this.#elements.setObserved(element, options);
    for (const name of destroys) this.#sets.setObserved(name, undefined);
  }

  #countsOf(set: SetName): Map<string, number> {
    return this.#counts.get(set) ?? new Map<string, number>();
  }

  #want(name: string): void {
    this.#sets.setDesired(name, knownSets.get(name)?.parameters ?? '');
  }

  /** The element with the name that its set has now. */
  #placed(set: SetName, element: string): string {
    if (!this.#big.has(set)) return element;
    return this.nameInForce(set) + element.slice(element.indexOf(' '));
  }

  #grow(set: SetName): void {
    const name = bigSetName(this.#family, set);
    if (name === undefined) return;
    this.#want(name);
    this.#move(set, () => this.#big.add(set));
  }

  #shrink(set: SetName): void {
    const name = bigSetName(this.#family, set);
    if (name === undefined) return;
    this.#sets.deleteDesired(name);
    this.#move(set, () => this.#big.delete(set));
  }

  #move(set: SetName, rename: () => void): void {
    const elements = [...this.#countsOf(set).keys()];
    for (const element of elements) this.#elements.deleteDesired(this.#placed(set, element));
    rename();
    for (const element of elements) this.#elements.setDesired(this.#placed(set, element), '');
  }

  /** Additions come first, so that nothing that should be there is ever missing. Deletions come first only if a set would be too full. */
  #splitDeletions(deletions: ReadonlySet<string>): [first: string[], last: string[]] {
    const bySet = new Map<string, string[]>();
    for (const element of deletions) {
      const name = setOf(element);
      const others = bySet.get(name);
      if (others === undefined) bySet.set(name, [element]);
      else others.push(element);
    }
    const first: string[] = [];
    const last: string[] = [];
    for (const [name, elements] of bySet) {
      const held = this.#sizeByName(name);
      const list = held > 0 && held <= this.#limit && held + elements.length > this.#limit ? first : last;
      for (const element of elements) list.push(element);
    }
    return [first, last];
  }

  /** How many elements the kernel's set of this name should hold. */
  #sizeByName(name: string): number {
    const set = setNames.find((some) => this.nameInForce(some) === name);
    return set === undefined ? 0 : this.size(set);
  }
}
