/** The sets of one family: what they should hold, what they were seen to hold, and what differs. */
import { DeltaTracker } from '../../../delta/delta-tracker';
import type { Family } from '../../../model/address';
import { bigSetName, knownSets, type SetName, setName, setNames, sharedSetLimit } from './names';
import { type SavedSets, setOf, type SetWrites } from './ipset-text';

/**
 * Elements are counted, since several Services may have the same one.
 *
 * kube-proxy's parameters let a set hold 65,536 elements. One that should hold more is, whole, in a bigger set under a name of
 * ours, and the rules match that one: they stay as many as they were, and change from one complete set to the other.
 */
export class SetContents {
  /** Name in the kernel -> parameters. */
  private readonly sets = new DeltaTracker<string, string>();
  /** `SET ENTRY` -> options. */
  private readonly elements = new DeltaTracker<string, string>();
  /** Of each set: `SET ENTRY` under the set's usual name -> how many want it. */
  private readonly counts = new Map<SetName, Map<string, number>>();
  private readonly big = new Set<SetName>();

  constructor(
    private readonly family: Family,
    private readonly limit = sharedSetLimit,
  ) {
    this.clear();
  }

  /** Every set, and nothing in them. */
  clear(): void {
    this.sets.clearDesired();
    this.elements.clearDesired();
    this.big.clear();
    for (const set of setNames) {
      this.counts.set(set, new Map());
      this.want(setName(this.family, set));
    }
  }

  /** The entry is one that ipset-names makes. All who add it give the same options. */
  add(set: SetName, entry: string, options = ''): void {
    const counts = this.countsOf(set);
    const element = `${setName(this.family, set)} ${entry}`;
    const count = counts.get(element) ?? 0;
    counts.set(element, count + 1);
    if (count > 0) return;
    this.elements.setDesired(this.placed(set, element), options);
    if (counts.size === this.limit + 1) this.grow(set);
  }

  /** Undoes one add. */
  remove(set: SetName, entry: string): void {
    const counts = this.countsOf(set);
    const element = `${setName(this.family, set)} ${entry}`;
    const count = counts.get(element) ?? 0;
    if (count > 1) counts.set(element, count - 1);
    if (count !== 1) return;
    counts.delete(element);
    this.elements.deleteDesired(this.placed(set, element));
    if (counts.size === this.limit) this.shrink(set);
  }

  /** The name that rules match: it changes when the set outgrows kube-proxy's parameters, or no longer does. */
  nameInForce(set: SetName): string {
    return (this.big.has(set) ? bigSetName(this.family, set) : undefined) ?? setName(this.family, set);
  }

  size(set: SetName): number {
    return this.countsOf(set).size;
  }

  /** Entry -> options, as the set was seen or left. */
  observed(set: SetName): ReadonlyMap<string, string> {
    const prefix = `${setName(this.family, set)} `;
    const entries = new Map<string, string>();
    for (const [element, options] of this.elements.observedEntries())
      if (element.startsWith(prefix)) entries.set(element.slice(prefix.length), options);
    return entries;
  }

  /** As DeltaTracker.beginRead; what it returns takes note of what the read found, or undefined of nothing. */
  beginRead(): (found: SavedSets | undefined) => void {
    const [sets, elements] = [this.sets.beginRead(), this.elements.beginRead()];
    return (found) => {
      this.sets.endRead(sets);
      this.elements.endRead(elements);
      if (found === undefined) return;
      this.sets.replaceObserved(found.sets, sets);
      this.elements.replaceObserved(found.elements, elements);
    };
  }

  /** What a read found. */
  replaceObserved({ sets, elements }: SavedSets): void {
    this.sets.replaceObserved(sets);
    this.elements.replaceObserved(elements);
  }

  get inSync(): boolean {
    return this.sets.inSync && this.elements.inSync;
  }

  /** undefined: nothing differs. */
  pendingWrites(): SetWrites | undefined {
    if (this.inSync) return undefined;
    const sets = this.sets.pending();
    const { updates, deletions } = this.elements.pending();
    const [deletionsFirst, deletionsLast] = this.splitDeletions(deletions);
    const creates = [...sets.updates.keys()];
    return { creates, deletionsFirst, additions: updates, deletions: deletionsLast, destroys: [...sets.deletions] };
  }

  /** These were written. */
  setApplied({ creates, deletionsFirst, additions, deletions, destroys }: SetWrites): void {
    for (const name of creates) this.sets.setObserved(name, knownSets.get(name)?.parameters);
    for (const element of [...deletionsFirst, ...deletions]) this.elements.setObserved(element, undefined);
    for (const [element, options] of additions) this.elements.setObserved(element, options);
    for (const name of destroys) this.sets.setObserved(name, undefined);
  }

  private countsOf(set: SetName): Map<string, number> {
    return this.counts.get(set) ?? new Map<string, number>();
  }

  private want(name: string): void {
    this.sets.setDesired(name, knownSets.get(name)?.parameters ?? '');
  }

  /** The element under the name that its set has now. */
  private placed(set: SetName, element: string): string {
    if (!this.big.has(set)) return element;
    return this.nameInForce(set) + element.slice(element.indexOf(' '));
  }

  private grow(set: SetName): void {
    const name = bigSetName(this.family, set);
    if (name === undefined) return;
    this.want(name);
    this.move(set, () => this.big.add(set));
  }

  private shrink(set: SetName): void {
    const name = bigSetName(this.family, set);
    if (name === undefined) return;
    this.sets.deleteDesired(name);
    this.move(set, () => this.big.delete(set));
  }

  private move(set: SetName, rename: () => void): void {
    const elements = [...this.countsOf(set).keys()];
    for (const element of elements) this.elements.deleteDesired(this.placed(set, element));
    rename();
    for (const element of elements) this.elements.setDesired(this.placed(set, element), '');
  }

  /** Additions come first, so that nothing that stays is ever missing; but not into a set that would be too full by then. */
  private splitDeletions(deletions: ReadonlySet<string>): [first: string[], last: string[]] {
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
      const held = this.sizeByName(name);
      const list = held > 0 && held <= this.limit && held + elements.length > this.limit ? first : last;
      for (const element of elements) list.push(element);
    }
    return [first, last];
  }

  /** How many the set of this name in the kernel should hold. */
  private sizeByName(name: string): number {
    const set = setNames.find((some) => this.nameInForce(some) === name);
    return set === undefined ? 0 : this.size(set);
  }
}
