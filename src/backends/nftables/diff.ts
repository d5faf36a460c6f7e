/** From what the table holds to what it should hold, in steps after each of which it is right. */
import type { Pending } from '../../delta/delta-tracker';
import type { Pieces } from '../../model/pieces';
import { adoptClients, type RememberedClients } from './adopt-affinity';
import type { DesiredState } from './desired-state';
import { diffFrontend, type FrontendChange } from './diff-frontend';
import { parseFrontend } from './frontend-text';
import { prefix } from './names';
import type { Size } from './message-size';
import type { ChainObject, TableWrite } from './objects';
import { isSlotsKey, type SlotOrders } from './observed-frontends';
import type { Refusals, Wanted } from './refusals';
import { affinityPrefix, clientsOf } from './render-affinity';
import { affinityListsOf } from './render-service';
import { type Change, type ElementChange, type Step, StepBuilder } from './steps';

const frontendsPerPiece = 100;
const elementsPerPiece = 500;

/** Whether the chain is a hook, by its text. */
function isBaseChain(text: string | undefined): boolean {
  return text?.startsWith('type ') === true;
}

/** What is known of the table besides the state. */
export interface SeenTable {
  /** The slots of the observed frontends. */
  readonly orders: SlotOrders;
  /** Chains that the kernel does not let go at present. */
  readonly busy: ReadonlySet<string>;
  /** It is not known what the table holds, or it cannot be changed to what it should be: it is deleted first. */
  readonly isRebuilt: boolean;
  /** What fits a step. */
  readonly limits: Size;
  readonly refusals: Refusals;
  /** The clients of another proxy. */
  readonly remembered: RememberedClients;
}

export function* planStepsInPieces(
  state: DesiredState,
  { orders, busy, isRebuilt, limits, refusals, remembered }: SeenTable,
): Pieces<readonly Step[]> {
  const to = new StepBuilder(state.family, limits);
  const pending = {
    frontends: yield* without(sorted(yield* state.frontends.pendingInPieces()), (wanted) =>
      refusals.leavesOut(wanted, (chain) => state.chains.getDesired(chain)),
    ),
    elements: sorted(yield* state.elements.pendingInPieces()),
    chains: yield* without(sorted(state.chains.pending()), (wanted) => refusals.hasChain(wanted)),
    sets: sorted(state.sets.pending()),
  };
  const chains = [...pending.chains.updates.keys()]
    .flatMap((name) => state.chain(name) ?? [])
    .filter(({ base }) => base === undefined);
  addSets(to, state, [...pending.sets.updates.keys()], isRebuilt);
  if (remembered.size > 0) yield* adopt(to, state, pending.sets.updates, remembered);
  addChains(to, state, chains);
  yield* inPieces(pending.elements.updates, ([name, value]) => addElement(to, state, name, value));
  const slots = changeSlots(to, state, orders, pending.frontends);
  setRules(to, state, chains);
  yield* changeFrontends(to, state, orders, pending.frontends);
  changeHooks(to, state, pending.chains);
  for (const change of slots) to.add(change);
  yield* inPieces(pending.elements.deletions, (name) => removeElement(to, state, name));
  return [...to.finish(), ...removeObjects(state, pending, { busy, limits })];
}

/** So many keys are sorted in a few milliseconds. */
const mostSorted = 5_000;

/** The same difference gives the same steps, in whatever order it came about. A larger one stays in the order of the Services. */
function sorted(pending: Pending<string, string>): Pending<string, string> {
  const { updates, deletions } = pending;
  if (updates.size + deletions.size > mostSorted) return pending;
  return {
    updates: new Map([...updates].sort(([a], [b]) => (a < b ? -1 : 1))),
    deletions: new Set([...deletions].sort()),
  };
}

/** What is wanted, without what the kernel refused. */
function* without(
  pending: Pending<string, string>,
  isRefused: (wanted: Wanted) => boolean,
): Pieces<Pending<string, string>> {
  const updates = new Map<string, string>();
  yield* inPieces(pending.updates, ([key, text]) => {
    if (!isRefused({ key, text })) updates.set(key, text);
  });
  return { ...pending, updates };
}

function* inPieces<T>(items: Iterable<T>, take: (item: T) => void): Pieces<void> {
  let done = 0;
  for (const item of items) {
    if (++done % elementsPerPiece === 0) yield;
    take(item);
  }
}

function addSets(to: StepBuilder, state: DesiredState, names: readonly string[], isRebuilt: boolean): void {
  if (names.length === 0) return;
  // A table cannot be deleted before it is there.
  const anew: readonly TableWrite[] = isRebuilt ? [{ op: 'delete-table' }, { op: 'add-table' }] : [];
  to.add({ objects: [{ op: 'add-table' }, ...anew] });
  for (const name of names) {
    const set = state.set(name);
    if (set === undefined) continue;
    to.add({ objects: [{ op: 'add-set', set }] }, (notes) => notes.sets.set(name, state.sets.getDesired(name)));
  }
}

/** Clients go into the maps that were just made, before any packet looks them up. */
function* adopt(
  to: StepBuilder,
  state: DesiredState,
  made: ReadonlyMap<string, string>,
  remembered: RememberedClients,
): Pieces<void> {
  for (const port of state.affinePorts()) {
    yield;
    const set = clientsOf(port);
    if (!made.has(set.name)) continue;
    for (const element of adoptClients(port, affinityListsOf(port), remembered))
      to.add({ additions: [{ set, element }] });
  }
}

/** Chains come before the rules that go to them. */
function addChains(to: StepBuilder, state: DesiredState, chains: readonly ChainObject[]): void {
  for (const { name } of chains)
    if (state.chains.getObserved(name) === undefined)
      to.add({ objects: [{ op: 'add-chain', chain: { name } }] }, (notes) => notes.chains.set(name, ''));
}

function setRules(to: StepBuilder, state: DesiredState, chains: readonly ChainObject[]): void {
  for (const { name, rules } of chains)
    to.add({ objects: [{ op: 'set-rules', chain: name, rules }] }, (notes) =>
      notes.chains.set(name, state.chains.getDesired(name)),
    );
}

function addElement(to: StepBuilder, state: DesiredState, name: string, value: string): void {
  const { set, key } = splitName(name);
  const object = state.set(set);
  if (object === undefined) return;
  const seen = state.elements.getObserved(name);
  const change = (text: string): ElementChange => ({
    set: object,
    element: { key, ...(text !== '' && { value: text }) },
  });
  to.add({ deletions: seen === undefined ? [] : [change(seen)], additions: [change(value)] }, (notes) =>
    notes.elements.set(name, value),
  );
}

/** The elements of a set that goes need not go before it. */
function removeElement(to: StepBuilder, state: DesiredState, name: string): void {
  const { set, key } = splitName(name);
  const object = state.set(set);
  if (object !== undefined)
    to.add({ deletions: [{ set: object, element: { key } }] }, (notes) => notes.elements.set(name, undefined));
}

function splitName(name: string): { readonly set: string; readonly key: string } {
  const at = name.indexOf(' ');
  return { set: name.slice(0, at), key: name.slice(at + 1) };
}

/**
 * Fills the lists of slots that no frontend has, before the rules that pick from them. Returns what is to be done once those rules pick
 * fewer slots.
 */
function changeSlots(
  to: StepBuilder,
  state: DesiredState,
  orders: SlotOrders,
  { updates, deletions }: Pending<string, string>,
): readonly Change[] {
  const emptied: Change[] = [];
  for (const key of [...updates.keys(), ...deletions]) {
    const set = isSlotsKey(key) ? state.set(key.slice(1)) : undefined;
    if (set === undefined) continue;
    const change = diffOf(key, state, orders);
    for (const one of change.changes) to.add(one);
    emptied.push(...change.emptied);
    to.add({}, (notes) => notes.frontends.set(key, change.result));
  }
  return emptied;
}

function* changeFrontends(
  to: StepBuilder,
  state: DesiredState,
  orders: SlotOrders,
  { updates, deletions }: Pending<string, string>,
): Pieces<void> {
  let done = 0;
  for (const key of [...updates.keys(), ...deletions]) {
    if (isSlotsKey(key)) continue;
    if (++done % frontendsPerPiece === 0) yield;
    const { changes, emptied, result } = diffOf(key, state, orders);
    for (const change of changes) to.add(change);
    for (const change of emptied) to.add(change);
    to.add({}, (notes) => notes.frontends.set(key, result));
  }
}

function diffOf(key: string, state: DesiredState, orders: SlotOrders): FrontendChange {
  const { frontends } = state;
  const [observed, desired] = [frontends.getObserved(key), frontends.getDesired(key)];
  const seen = observed === undefined ? undefined : orders.read(key, observed);
  const wanted = desired === undefined ? undefined : parseFrontend(desired);
  return diffFrontend(key, seen, wanted, (name) => state.set(name));
}

/** All hooks change at once: when ours take over from another proxy's, no packet meets both. */
function changeHooks(to: StepBuilder, state: DesiredState, { updates, deletions }: Pending<string, string>): void {
  const { chains } = state;
  const stale = [...deletions].filter((name) => isBaseChain(chains.getObserved(name)));
  const wanted = [...updates.keys()]
    .flatMap((name) => state.chain(name) ?? [])
    .filter(({ base }) => base !== undefined);
  if (stale.length + wanted.length === 0) return;
  const hooks: TableWrite[] = stale.map((chain) => ({ op: 'delete-chain', chain }));
  for (const chain of wanted) hooks.push(...replaceHook(chain, chains));
  to.add({ hooks }, (notes) => {
    for (const name of stale) notes.chains.set(name, undefined);
    for (const { name } of wanted) notes.chains.set(name, chains.getDesired(name));
  });
}

function replaceHook({ name, base, rules }: ChainObject, chains: DesiredState['chains']): readonly TableWrite[] {
  const seen = chains.getObserved(name);
  const setRules: TableWrite = { op: 'set-rules', chain: name, rules };
  if (base === undefined || hookOf(seen) === hookOf(chains.getDesired(name))) return [setRules];
  const add: TableWrite = { op: 'add-chain', chain: { name, base } };
  return seen === undefined ? [add, setRules] : [{ op: 'delete-chain', chain: name }, add, setRules];
}

function hookOf(text: string | undefined): string | undefined {
  return text?.split('\n', 1)[0];
}

interface Removals {
  readonly frontends: Pending<string, string>;
  readonly elements: Pending<string, string>;
  readonly chains: Pending<string, string>;
  readonly sets: Pending<string, string>;
}

/**
 * Chains and sets that nothing leads to any longer. Chains go in a later transaction than what led to them: kernels before 6.2 release a
 * map's references only afterwards.
 */
function removeObjects(
  { family, chains }: DesiredState,
  pending: Removals,
  { busy, limits }: Pick<SeenTable, 'busy' | 'limits'>,
): readonly Step[] {
  const [emptied, sets, removed] = [1, 2, 3].map(() => new StepBuilder(family, limits, true));
  for (const chain of pending.chains.deletions) {
    const text = chains.getObserved(chain);
    if (isBaseChain(text) || busy.has(chain)) continue;
    if (leadsElsewhere(chain, text))
      emptied?.add({ objects: [{ op: 'set-rules', chain, rules: [] }] }, (notes) => notes.chains.set(chain, ''));
    removed?.add({ objects: [{ op: 'delete-chain', chain }] }, (notes) => notes.chains.set(chain, undefined));
  }
  const elements = bySet(pending.elements.deletions);
  for (const set of pending.sets.deletions) {
    if (busy.has(set)) continue;
    sets?.add({ objects: [{ op: 'delete-set', set }] }, (notes) => {
      notes.sets.set(set, undefined);
      notes.frontends.set(`@${set}`, undefined);
      for (const name of elements.get(set) ?? []) notes.elements.set(name, undefined);
    });
  }
  return [emptied, sets, removed].flatMap((builder) => builder?.finish() ?? []);
}

function bySet(names: Iterable<string>): ReadonlyMap<string, readonly string[]> {
  const grouped = new Map<string, string[]>();
  for (const name of names) {
    const { set } = splitName(name);
    const known = grouped.get(set);
    if (known === undefined) grouped.set(set, [name]);
    else known.push(name);
  }
  return grouped;
}

/** Its rules may keep other chains and sets from going. */
function leadsElsewhere(chain: string, text = ''): boolean {
  if (!chain.startsWith(prefix)) return text !== '';
  return /\b(goto|jump) /.test(text) || text.includes(`@${affinityPrefix}`);
}
