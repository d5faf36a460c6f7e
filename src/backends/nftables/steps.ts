/** Puts changes together to steps, each of which fits one transaction. What has to be done at once stays in one step. */
import type { Family } from '../../model/address';
import type { FrontendElements } from './frontend-text';
import { elementSizes, sizeOfWrite, type Size, sumOf } from './message-size';
import type { SetElement, SetObject, TableWrite } from './objects';

/** What is in force once a step is written. Undefined: it is gone. */
export interface Notes {
  readonly frontends: Map<string, FrontendElements | undefined>;
  readonly elements: Map<string, string | undefined>;
  readonly chains: Map<string, string | undefined>;
  readonly sets: Map<string, string | undefined>;
}

export interface Step {
  readonly writes: readonly TableWrite[];
  readonly notes: Notes;
  /** It only removes what nothing leads to any longer, and may be tried again later. */
  readonly isCleanup: boolean;
}

export interface ElementChange {
  readonly set: SetObject;
  readonly element: SetElement;
}

/** Changes that are made at once. */
export interface Change {
  /** Before the elements. */
  readonly objects?: readonly TableWrite[];
  /** Of one key, the deletion is done before the addition. */
  readonly deletions?: readonly ElementChange[];
  readonly additions?: readonly ElementChange[];
  /** After the elements. */
  readonly hooks?: readonly TableWrite[];
}

export class StepBuilder {
  readonly #family: Family;
  readonly #limits: Size;
  readonly #isCleanup: boolean;
  readonly #steps: Step[] = [];
  readonly #elementSize = new Map<SetObject, (element: SetElement) => number>();
  #now = new StepInHand();

  constructor(family: Family, limits: Size, isCleanup = false) {
    this.#family = family;
    this.#limits = limits;
    this.#isCleanup = isCleanup;
  }

  /** @param note says what is in force after this change and all that were added before. */
  add(change: Change, note?: (notes: Notes) => void): void {
    const size = this.#sizeOf(change);
    if (!this.#now.fits(change, size, this.#limits)) this.#end();
    this.#now.add(change, size);
    if (note !== undefined) note(this.#now.notes);
  }

  finish(): readonly Step[] {
    this.#end();
    return this.#steps;
  }

  #end(): void {
    if (!this.#now.isEmpty) this.#steps.push({ ...this.#now.finish(), isCleanup: this.#isCleanup });
    this.#now = new StepInHand();
  }

  #sizeOf({ objects = [], hooks = [], deletions = [], additions = [] }: Change): Size {
    let size: Size = { messages: 0, bytes: 0 };
    for (const write of objects) size = sumOf(size, sizeOfWrite(write, this.#family));
    for (const write of hooks) size = sumOf(size, sizeOfWrite(write, this.#family));
    let bytes = 0;
    for (const { set, element } of deletions) bytes += this.#sizeOfElement(set, element);
    for (const { set, element } of additions) bytes += this.#sizeOfElement(set, element);
    return { messages: size.messages, bytes: size.bytes + bytes };
  }

  #sizeOfElement(set: SetObject, element: SetElement): number {
    let size = this.#elementSize.get(set);
    if (size === undefined) this.#elementSize.set(set, (size = elementSizes(set, this.#family)));
    return size(element);
  }
}

/**
 * Elements of one set are sent together. Each set that a step adds to or deletes from is a message, with its headers and names; and where
 * there are many elements, a message for every 7,000 bytes of them.
 */
const messagePerSet: Size = { messages: 1, bytes: 160 };
const messagesOfElements: Size = { messages: 16, bytes: 2 * 1024 };

class StepInHand {
  readonly notes: Notes = { frontends: new Map(), elements: new Map(), chains: new Map(), sets: new Map() };
  readonly #objects: TableWrite[] = [];
  readonly #hooks: TableWrite[] = [];
  readonly #deletions = new Map<SetObject, SetElement[]>();
  readonly #additions = new Map<SetObject, SetElement[]>();
  #size = messagesOfElements;
  #isEmpty = true;

  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  fits(change: Change, size: Size, limits: Size): boolean {
    const { messages, bytes } = sumOf(sumOf(this.#size, size), this.#newSets(change));
    return this.#isEmpty || (messages <= limits.messages && bytes <= limits.bytes);
  }

  /** What the sets take that the step did not have until now. */
  #newSets({ deletions = [], additions = [] }: Change): Size {
    let size: Size = { messages: 0, bytes: 0 };
    for (const { set } of deletions) if (!this.#deletions.has(set)) size = sumOf(size, messagePerSet);
    for (const { set } of additions) if (!this.#additions.has(set)) size = sumOf(size, messagePerSet);
    return size;
  }

  add(change: Change, size: Size): void {
    const { objects = [], hooks = [], deletions = [], additions = [] } = change;
    this.#isEmpty = false;
    this.#size = sumOf(sumOf(this.#size, size), this.#newSets(change));
    this.#objects.push(...objects);
    this.#hooks.push(...hooks);
    for (const { set, element } of deletions) append(this.#deletions, set, element);
    for (const { set, element } of additions) append(this.#additions, set, element);
  }

  finish(): Pick<Step, 'writes' | 'notes'> {
    const elements = (
      op: 'add-elements' | 'delete-elements',
      bySet: ReadonlyMap<SetObject, SetElement[]>,
    ): TableWrite[] => [...bySet].map(([set, elements]) => ({ op, set, elements }));
    const writes = [
      ...this.#objects,
      ...elements('delete-elements', this.#deletions),
      ...elements('add-elements', this.#additions),
      ...this.#hooks,
    ];
    return { writes, notes: this.notes };
  }
}

function append(lists: Map<SetObject, SetElement[]>, set: SetObject, element: SetElement): void {
  const list = lists.get(set);
  if (list === undefined) lists.set(set, [element]);
  else list.push(element);
}
