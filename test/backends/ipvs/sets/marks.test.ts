import { markIdentity, Marks, mostMarks, planMarkLayout } from '../../../../src/backends/ipvs/sets/marks';
import { families } from '../../../../src/model/address';
import type { ServicePlan } from '../../../../src/planner/plan';
import { collidingNames, markSlot } from '../../../support/colliding-marks';
import { clusterIP, service, servicePort } from '../../../support/plans';

const namesOf = (count: number): string[] => Array.from({ length: count }, (_, i) => `local-${i}`);
/** Two that have the same hash. */
const [first, second] = collidingNames();

function local(name: string, isMarked = true): ServicePlan {
  const frontend = { ...clusterIP('203.0.113.1'), kind: 'LoadBalancer', localSourcesToCluster: isMarked } as const;
  return service([servicePort(name, { frontends: [frontend] })]);
}

const changesOf = (...services: ServicePlan[]): Map<ServicePlan['key'], ServicePlan> =>
  new Map(services.map((one) => [one.key, one]));

/** The marks after these Services were added, in this order, one by one. */
function marksOf(names: readonly string[]): Marks {
  const marks = new Marks('IPv4', 0x4000);
  for (const name of names) marks.update(new Map(), changesOf(local(name)));
  return marks;
}

test.each([14, 0, 3, 11, 12, 13, 20, 31])('with masqueradeBit %i, no mark has it, and none is another’s', (bit) => {
  const masqueradeMark = 2 ** bit;
  const all = families.flatMap((family) => {
    const { base, mask, markOf } = planMarkLayout(family, masqueradeMark);
    const marks = Array.from({ length: mostMarks }, (_, index) => markOf(index));
    for (const mark of marks) {
      expect((mark & masqueradeMark) >>> 0).toBe(0);
      expect((mark & mask) >>> 0).toBe(base);
      // Others use the bits 0x2000, 0x8000 and all from 0x10000 on.
      expect((mark & 0xffffa000) >>> 0).toBe(0);
    }
    return marks;
  });
  expect(new Set(all).size).toBe(2 * mostMarks);
});

const { markOf } = planMarkLayout('IPv4', 0x4000);
const identity = (name: string): string => `default/${name} TCP`;

test('each gets the place of its hash, or the next free one', () => {
  const names = [...new Set([...namesOf(50), first, second])];
  const { byPort } = marksOf(names);
  expect(new Set(byPort.values()).size).toBe(names.length);
  expect(byPort.get(identity(first))).toBe(markOf(markSlot(first)));
  expect(byPort.get(identity(second))).toBe(markOf((markSlot(second) + 1) % mostMarks));
});

test('a port keeps its mark whoever is added or removed, and is not reported as changed', () => {
  const [ours, others] = [local(first), local(second)];
  const marks = marksOf([second]);
  const mark = marks.byPort.get(identity(second));
  expect([...marks.update(changesOf(others), changesOf(ours))]).toEqual([ours.key]);
  expect(marks.byPort.get(identity(second))).toBe(mark);
  expect([...marks.update(changesOf(ours, others), new Map([[ours.key, undefined]]))]).toEqual([]);
  expect(marks.byPort.get(identity(second))).toBe(mark);
});

test('a mark that became free goes back to its own port, and to no other one while other marks are free', () => {
  const marks = marksOf([first]);
  marks.update(changesOf(local(first)), new Map([[local(first).key, undefined]]));
  marks.update(new Map(), changesOf(local(second)));
  expect(marks.byPort.get(identity(second))).toBe(markOf((markSlot(second) + 1) % mostMarks));
  marks.update(changesOf(local(second)), changesOf(local(first)));
  expect(marks.byPort.get(identity(first))).toBe(markOf(markSlot(first)));
});

test('after a restart each port has the mark that it has in the kernel, and marks there that belong to nobody are not given', () => {
  const marks = new Marks('IPv4', 0x4000);
  const [seen, stale] = [markOf(7), markOf(markSlot(second))];
  marks.restart(
    new Map([
      [seen, identity(first)],
      [stale, ''],
      [0x4001, identity('elsewhere')],
    ]),
  );
  marks.update(new Map(), changesOf(local(first), local(second), local('elsewhere')));
  expect(marks.byPort.get(identity(first))).toBe(seen);
  expect(marks.byPort.get(identity(second))).toBe(markOf((markSlot(second) + 1) % mostMarks));
  expect(marks.byPort.get(identity('elsewhere'))).toBe(markOf(markSlot('elsewhere')));
});

test('ports whose clients on this node reach what clients outside reach have no mark, and change nothing', () => {
  const marks = marksOf([first]);
  const { byPort } = marks;
  expect(marks.update(changesOf(local(second, false)), changesOf(local(second, false))).size).toBe(0);
  expect(marks.byPort).toBe(byPort);
  marks.update(changesOf(local(first)), changesOf(local(first, false)));
  expect(marks.byPort.size).toBe(0);
});

test('if there are too many, the last by name get none', () => {
  const names = namesOf(mostMarks + 3);
  const marks = new Marks('IPv6', 0x4000);
  marks.update(new Map(), changesOf(...names.map((name) => local(name))));
  expect(marks.byPort.size).toBe(mostMarks);
  const last = names.map((name) => markIdentity(servicePort(name, {}))).sort();
  expect([...marks.without]).toEqual(last.slice(-3));
  const gone = local(names[0] ?? '');
  const served = marks.update(changesOf(gone), new Map([[gone.key, undefined]]));
  expect(served.size).toBe(1);
  expect([...marks.without]).toEqual(last.slice(-2));
});
