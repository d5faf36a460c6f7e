import fc from 'fast-check';
import { DeltaTracker } from '../../src/delta/delta-tracker';
import { finish } from '../../src/model/pieces';

type Key = 'a' | 'b' | 'c';
type Value = '1' | '2' | '';

/** Two maps and nothing else: what differs is found by looking at all of them. */
class NaiveModel {
  desired = new Map<Key, Value>();
  observed = new Map<Key, Value>();

  pending(): { updates: Map<Key, Value>; deletions: Set<Key> } {
    const updates = new Map([...this.desired].filter(([key, value]) => this.observed.get(key) !== value));
    const deletions = new Set([...this.observed.keys()].filter((key) => !this.desired.has(key)));
    return { updates, deletions };
  }
}

type Step = (model: NaiveModel, tracker: DeltaTracker<Key, Value>) => void;
const keyArb = fc.constantFrom<Key>('a', 'b', 'c');
const valueArb = fc.constantFrom<Value>('1', '2', '');

const stepArb: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(keyArb, valueArb).map<Step>(([key, value]) => (model, tracker) => {
    model.desired.set(key, value);
    tracker.setDesired(key, value);
  }),
  keyArb.map<Step>((key) => (model, tracker) => {
    model.desired.delete(key);
    tracker.deleteDesired(key);
  }),
  fc.constant<Step>((model, tracker) => {
    model.desired.clear();
    tracker.clearDesired();
  }),
  fc.tuple(keyArb, fc.option(valueArb, { nil: undefined })).map<Step>(([key, value]) => (model, tracker) => {
    if (value === undefined) model.observed.delete(key);
    else model.observed.set(key, value);
    tracker.setObserved(key, value);
  }),
  fc.array(fc.tuple(keyArb, valueArb)).map<Step>((entries) => (model, tracker) => {
    model.observed = new Map(entries);
    tracker.replaceObserved(new Map(entries));
  }),
  // A comparison between whose pieces much changes.
  fc
    .tuple(fc.array(fc.tuple(keyArb, valueArb)), keyArb, valueArb, keyArb, fc.boolean())
    .map<Step>(([entries, key, value, written, isCleared]) => (model, tracker) => {
      const read = tracker.beginRead();
      const take = finish(tracker.compareInPieces(new Map(entries), read));
      if (isCleared) tracker.clearDesired();
      tracker.setDesired(key, value);
      tracker.setObserved(written, value);
      take();
      tracker.endRead(read);
      if (isCleared) model.desired.clear();
      model.desired.set(key, value);
      model.observed = new Map(entries).set(written, value);
    }),
  // What a write does.
  fc.constant<Step>((model, tracker) => {
    model.observed = new Map(model.desired);
    const { updates, deletions } = tracker.pending();
    for (const [key, value] of updates) tracker.setObserved(key, value);
    for (const key of deletions) tracker.setObserved(key, undefined);
  }),
);

test('after any steps, what is pending is what two maps side by side show', () => {
  fc.assert(
    fc.property(fc.array(stepArb, { maxLength: 20 }), (steps) => {
      const model = new NaiveModel();
      const tracker = new DeltaTracker<Key, Value>();
      for (const step of steps) {
        step(model, tracker);
        const expected = model.pending();
        expect(tracker.pending()).toEqual(expected);
        expect(tracker.inSync).toBe(expected.updates.size + expected.deletions.size === 0);
        expect(new Map(tracker.desiredEntries())).toEqual(model.desired);
        for (const key of ['a', 'b', 'c'] as const) {
          expect(tracker.getDesired(key)).toBe(model.desired.get(key));
          expect(tracker.getObserved(key)).toBe(model.observed.get(key));
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('desired keys that were never observed are nothing to delete once they are not desired any more', () => {
  const tracker = new DeltaTracker<Key, Value>();
  tracker.setDesired('a', '1');
  tracker.clearDesired();
  expect(tracker.pending().deletions).toEqual(new Set());
  expect(tracker.inSync).toBe(true);
});

test('values are compared by identity: equal ones that are not shared differ', () => {
  const tracker = new DeltaTracker<string, readonly string[]>();
  const seen: readonly string[] = ['x'];
  tracker.replaceObserved(new Map([['a', seen]]));
  tracker.setDesired('a', ['x']);
  expect(tracker.pending().updates.size).toBe(1);
  tracker.setDesired('a', seen);
  expect(tracker.inSync).toBe(true);
});

test('pending is a snapshot: what is written meanwhile does not disturb who reads it', () => {
  const tracker = new DeltaTracker<Key, Value>();
  tracker.setDesired('a', '1');
  tracker.setDesired('b', '2');
  const { updates } = tracker.pending();
  for (const [key, value] of updates) tracker.setObserved(key, value);
  expect([...updates]).toEqual([
    ['a', '1'],
    ['b', '2'],
  ]);
  expect(tracker.inSync).toBe(true);
});

test('what is written while a read goes on counts as written; what is not, as read', () => {
  const tracker = new DeltaTracker<Key, Value>();
  tracker.setDesired('a', '1');
  tracker.setDesired('b', '1');
  const read = tracker.beginRead();
  tracker.setObserved('a', '1');
  tracker.setObserved('c', undefined);
  tracker.endRead(read);
  tracker.setObserved('b', '2');
  tracker.replaceObserved(new Map<Key, Value>([['c', '1']]), read);
  expect(tracker.getObserved('a')).toBe('1');
  expect(tracker.pending()).toEqual({ updates: new Map([['b', '1']]), deletions: new Set() });
});
