import fc from 'fast-check';
import { ipPortElement, markOptions, type SetName, setNames } from '../../../../src/backends/ipvs/sets/names';
import type { SavedSets } from '../../../../src/backends/ipvs/sets/ipset-text';
import { SetContents } from '../../../../src/backends/ipvs/sets/contents';

const limit = 8;
const element = (n: number): string => ipPortElement(`10.96.0.${n}`, 'TCP', 80);
const wide = (set: SetName, count: number): SetContents => {
  const contents = new SetContents('IPv4', limit);
  for (let n = 0; n < count; n++) contents.add(set, element(n));
  return contents;
};

/** A kernel that refuses what the real one refuses. Returns the largest number of elements that each set had. */
function write(contents: SetContents, kernel: SavedSets): Map<string, number> {
  const peak = new Map<string, number>();
  const count = (name: string): number =>
    [...kernel.elements.keys()].filter((key) => key.startsWith(`${name} `)).length;
  const writes = contents.pendingWrites();
  if (writes === undefined) return peak;
  for (const name of writes.creates) kernel.sets.set(name, 'parameters');
  for (const key of writes.deletionsFirst) kernel.elements.delete(key);
  for (const [key, options] of writes.additions) {
    const name = key.slice(0, key.indexOf(' '));
    if (!kernel.sets.has(name)) throw new Error(`no set ${name}`);
    kernel.elements.set(key, options);
    peak.set(name, Math.max(peak.get(name) ?? 0, count(name)));
  }
  for (const key of writes.deletions) kernel.elements.delete(key);
  for (const name of writes.destroys) kernel.sets.delete(name);
  contents.setApplied(writes);
  return peak;
}
const emptyKernel = (): SavedSets => ({ sets: new Map(), elements: new Map() });
const keys = ({ elements }: SavedSets): string[] => [...elements.keys()].sort();

test('every set is made at once, and a second comparison finds nothing to do', () => {
  const contents = new SetContents('IPv6');
  const kernel = emptyKernel();
  write(contents, kernel);
  expect(kernel.sets.size).toBe(setNames.length);
  expect([...kernel.sets.keys()]).toContain('KUBE-6-IPVS-LOCAL');
  expect(contents.pendingWrites()).toBeUndefined();
});

test('an element is removed with the last one that wanted it', () => {
  const contents = new SetContents('IPv4');
  const kernel = emptyKernel();
  contents.add('KUBE-LOOP-BACK', '10.244.1.2,tcp:80,10.244.1.2');
  contents.add('KUBE-LOOP-BACK', '10.244.1.2,tcp:80,10.244.1.2');
  write(contents, kernel);
  contents.remove('KUBE-LOOP-BACK', '10.244.1.2,tcp:80,10.244.1.2');
  expect(contents.pendingWrites()).toBeUndefined();
  contents.remove('KUBE-LOOP-BACK', '10.244.1.2,tcp:80,10.244.1.2');
  expect(contents.pendingWrites()).toMatchObject({ deletions: ['KUBE-LOOP-BACK 10.244.1.2,tcp:80,10.244.1.2'] });
  contents.remove('KUBE-LOOP-BACK', '10.244.1.2,tcp:80,10.244.1.2');
  expect(contents.size('KUBE-LOOP-BACK')).toBe(0);
});

test('an element with another mark is added over the old one', () => {
  const contents = new SetContents('IPv4');
  const kernel = emptyKernel();
  contents.add('KUBE-IPVS-LOCAL', element(1), markOptions(0x100001));
  write(contents, kernel);
  contents.remove('KUBE-IPVS-LOCAL', element(1));
  contents.add('KUBE-IPVS-LOCAL', element(1), markOptions(0x100002));
  const writes = contents.pendingWrites();
  expect([...(writes?.additions ?? [])]).toEqual([['KUBE-IPVS-LOCAL 10.96.0.1,tcp:80', 'skbmark 0x100002']]);
  expect(writes?.deletions).toEqual([]);
});

test('elements that nobody wants are deleted, and sets that somebody else emptied are filled again', () => {
  const contents = wide('KUBE-CLUSTER-IP', 2);
  const kernel = emptyKernel();
  kernel.sets.set('KUBE-CLUSTER-IP', 'hash:ip,port family inet maxelem 65536');
  kernel.elements.set('KUBE-CLUSTER-IP 10.96.0.99,tcp:80', '');
  contents.replaceObserved({ sets: new Map(kernel.sets), elements: new Map(kernel.elements) });
  write(contents, kernel);
  expect(keys(kernel)).toEqual([`KUBE-CLUSTER-IP ${element(0)}`, `KUBE-CLUSTER-IP ${element(1)}`]);
});

describe('a set that outgrows its parameters', () => {
  test('moves as a whole to another one, and back when it shrinks', () => {
    const contents = wide('KUBE-CLUSTER-IP', limit);
    const kernel = emptyKernel();
    write(contents, kernel);
    expect(contents.nameInForce('KUBE-CLUSTER-IP')).toBe('KUBE-CLUSTER-IP');
    contents.add('KUBE-CLUSTER-IP', element(100));
    expect(contents.nameInForce('KUBE-CLUSTER-IP')).toBe('KUBE-CLUSTER-IP-BIG');
    expect(contents.pendingWrites()).toMatchObject({ creates: ['KUBE-CLUSTER-IP-BIG'], deletionsFirst: [] });
    write(contents, kernel);
    expect(keys(kernel).map((key) => key.split(' ')[0])).toEqual(Array(limit + 1).fill('KUBE-CLUSTER-IP-BIG'));
    contents.remove('KUBE-CLUSTER-IP', element(100));
    expect(contents.nameInForce('KUBE-CLUSTER-IP')).toBe('KUBE-CLUSTER-IP');
    write(contents, kernel);
    expect([...kernel.sets.keys()]).not.toContain('KUBE-CLUSTER-IP-BIG');
    expect(contents.pendingWrites()).toBeUndefined();
  });

  test('stale elements are deleted first if there would be no room', () => {
    const contents = wide('KUBE-CLUSTER-IP', limit);
    const kernel = emptyKernel();
    write(contents, kernel);
    for (let n = 0; n < 3; n++) contents.remove('KUBE-CLUSTER-IP', element(n));
    for (let n = 50; n < 53; n++) contents.add('KUBE-CLUSTER-IP', element(n));
    expect(contents.pendingWrites()).toMatchObject({ deletions: [] });
    expect(write(contents, kernel).get('KUBE-CLUSTER-IP')).toBe(limit);
  });
});

test('any history ends in the same sets, without a full one on the way', () => {
  const change = fc.record({ isAdd: fc.boolean(), set: fc.constantFrom(...setNames.slice(0, 3)), n: fc.nat(14) });
  fc.assert(
    fc.property(fc.array(fc.array(change, { maxLength: 20 }), { minLength: 1, maxLength: 8 }), (rounds) => {
      const contents = new SetContents('IPv4', limit);
      const kernel = emptyKernel();
      const wanted = new Map<string, number>();
      for (const round of rounds) {
        for (const { isAdd, set, n } of round) {
          const key = `${set} ${element(n)}`;
          const count = wanted.get(key) ?? 0;
          if (isAdd) contents.add(set, element(n));
          else contents.remove(set, element(n));
          wanted.set(key, Math.max(0, count + (isAdd ? 1 : -1)));
        }
        for (const [name, most] of write(contents, kernel))
          expect(most).toBeLessThanOrEqual(name.endsWith('-BIG') ? Infinity : limit);
      }
      const fresh = new SetContents('IPv4', limit);
      for (const [key, count] of wanted)
        if (count > 0) fresh.add(key.split(' ')[0] as SetName, key.slice(key.indexOf(' ') + 1));
      const freshKernel = emptyKernel();
      write(fresh, freshKernel);
      expect(keys(kernel)).toEqual(keys(freshKernel));
      expect([...kernel.sets.keys()].sort()).toEqual([...freshKernel.sets.keys()].sort());
    }),
  );
});
