/** From what the table holds to what it should hold, in steps after each of which it is right. */
import type { Pending } from '../../delta/delta-tracker';
import type { Pieces } from '../../model/pieces';
import type { DesiredState } from './desired-state';
import { diffFrontend } from './diff-frontend';
import { parseFrontend } from './frontend-text';
import { prefix } from './names';
import type { Size } from './message-size';
import type { ChainObject, TableWrite } from './objects';
import type { SlotOrders } from './observed-frontends';
import { findSet } from './sets';
import { type ElementChange, type Step, StepBuilder } from './steps';

const frontendsPerPiece = 100;

/** Whether the chain is a hook, by its text. */
export function isBaseChain(text: string | undefined): boolean {
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
}

export function* planStepsInPieces(
  state: DesiredState,
  { orders, busy, isRebuilt, limits }: SeenTable,
): Pieces<readonly Step[]> {
  const to = new StepBuilder(state.family, limits);
  const chains = state.chains.pending();
  const addresses = state.addresses.pending();
  const sets = state.sets.pending();
  addSets(to, state, [...sets.updates.keys()], isRebuilt);
  addChains(to, state, [...chains.updates.keys()]);
  for (const name of addresses.updates.keys())
    to.add({ additions: [addressElement(name)] }, (notes) => notes.addresses.set(name, ''));
  yield* changeFrontends(to, state, orders);
  changeHooks(to, state, chains);
  for (const name of addresses.deletions)
    to.add({ deletions: [addressElement(name)] }, (notes) => notes.addresses.set(name, undefined));
  const unused = { chains: chains.deletions, sets: sets.deletions };
  return [...to.finish(), ...removeObjects(state, unused, { busy, limits })];
}

function addSets(to: StepBuilder, { sets }: DesiredState, names: readonly string[], isRebuilt: boolean): void {
  if (names.length === 0) return;
  // A table cannot be deleted before it is there.
  to.add({
    objects: [{ op: 'add-table' }, ...(isRebuilt ? ([{ op: 'delete-table' }, { op: 'add-table' }] as const) : [])],
  });
  for (const name of names)
    to.add({ objects: [{ op: 'add-set', set: findSet(name) }] }, (notes) =>
      notes.sets.set(name, sets.getDesired(name)),
    );
}

/** Chains come before the rules that go to them. */
function addChains(to: StepBuilder, state: DesiredState, names: readonly string[]): void {
  const wanted = names.flatMap((name) => state.chain(name) ?? []).filter(({ base }) => base === undefined);
  for (const { name } of wanted)
    if (state.chains.getObserved(name) === undefined)
      to.add({ objects: [{ op: 'add-chain', chain: { name } }] }, (notes) => notes.chains.set(name, ''));
  for (const { name, rules } of wanted)
    to.add({ objects: [{ op: 'set-rules', chain: name, rules }] }, (notes) =>
      notes.chains.set(name, state.chains.getDesired(name)),
    );
}

function* changeFrontends(to: StepBuilder, { frontends }: DesiredState, orders: SlotOrders): Pieces<void> {
  const { updates, deletions } = frontends.pending();
  const keys = [...updates.keys(), ...deletions];
  for (const [i, key] of keys.entries()) {
    if (i % frontendsPerPiece === frontendsPerPiece - 1) yield;
    const [observed, desired] = [frontends.getObserved(key), updates.get(key)];
    const seen = observed === undefined ? undefined : orders.read(key, observed);
    const { changes, result } = diffFrontend(key, seen, desired === undefined ? undefined : parseFrontend(desired));
    for (const change of changes) to.add(change);
    to.add({}, (notes) => notes.frontends.set(key, result));
  }
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

/**
 * Chains and sets that nothing leads to any longer. Chains go in a later transaction than what led to them: kernels before 6.2 release a
 * map's references only afterwards.
 */
function removeObjects(
  { family, chains }: DesiredState,
  names: { readonly chains: Iterable<string>; readonly sets: Iterable<string> },
  { busy, limits }: Pick<SeenTable, 'busy' | 'limits'>,
): readonly Step[] {
  const [emptied, sets, removed] = [1, 2, 3].map(() => new StepBuilder(family, limits, true));
  for (const chain of names.chains) {
    const text = chains.getObserved(chain);
    if (isBaseChain(text) || busy.has(chain)) continue;
    if (leadsElsewhere(chain, text))
      emptied?.add({ objects: [{ op: 'set-rules', chain, rules: [] }] }, (notes) => notes.chains.set(chain, ''));
    removed?.add({ objects: [{ op: 'delete-chain', chain }] }, (notes) => notes.chains.set(chain, undefined));
  }
  for (const set of names.sets)
    sets?.add({ objects: [{ op: 'delete-set', set }] }, (notes) => notes.sets.set(set, undefined));
  return [emptied, sets, removed].flatMap((builder) => builder?.finish() ?? []);
}

/** Its rules may keep other chains and sets from going. Our own chains look up only sets that stay. */
function leadsElsewhere(chain: string, text = ''): boolean {
  return chain.startsWith(prefix) ? /\b(goto|jump) /.test(text) : text !== '';
}

function addressElement(name: string): ElementChange {
  const at = name.indexOf(' ');
  return { set: name.slice(0, at), element: { key: name.slice(at + 1) } };
}
