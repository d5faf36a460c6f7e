import fc from 'fast-check';
import { families } from '../../src/model/address';
import { serviceKey } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import { applyPlanChanges, planChanges } from '../../src/planner/plan-changes';
import { planCluster } from '../../src/planner/plan-cluster';
import { historyArb } from '../support/cluster-arbitraries';
import { makeEndpoint, makeService, makeSlice } from '../support/cluster-objects';
import { makeSettings } from '../support/settings';

const key = serviceKey('default', 'web');
const settings = makeSettings({
  localDetector: { IPv4: { kind: 'cidr', cidr: '10.0.0.0/8' }, IPv6: { kind: 'none' } },
});

test('changes over any history give the plan from nothing', () => {
  fc.assert(
    fc.property(historyArb, (history) => {
      const store = new ClusterStore(0);
      const plans = families.map((family) => planCluster(store, family, settings));
      for (const batch of history) {
        store.apply(batch);
        const { services } = store.takeChanged();
        for (const plan of plans) {
          const before = new Map(plan.services);
          const changes = planChanges(plan, store, services);
          expect(plan.services).toEqual(before);
          for (const [key, planned] of changes) expect(planned).not.toEqual(before.get(key));
          applyPlanChanges(plan, changes);
          expect(plan).toEqual(planCluster(store, plan.family, settings));
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('a Service that comes, stays, changes and goes', () => {
  const store = new ClusterStore(0);
  const plan = planCluster(store, 'IPv4', settings);
  const step = (): string[] => {
    const changes = planChanges(plan, store, [key]);
    applyPlanChanges(plan, changes);
    return [...changes].map(([key, planned]) => `${key} ${planned?.endpointCount ?? 'gone'}`);
  };
  expect(step()).toEqual([]);
  store.apply([{ op: 'set', object: makeService() }]);
  expect(step()).toEqual(['default/web 0']);
  expect(step()).toEqual([]);
  store.apply([{ op: 'set', object: makeSlice([makeEndpoint('10.0.0.1')]) }]);
  expect(step()).toEqual(['default/web 1']);
  // Its plan does not depend on the pod behind the address.
  store.apply([{ op: 'set', object: makeSlice([makeEndpoint('10.0.0.1', { target: 'Pod/other', zone: 'z3' })]) }]);
  expect(step()).toEqual([]);
  store.apply([{ op: 'delete', kind: 'Service', namespace: 'default', name: 'web' }]);
  expect(step()).toEqual(['default/web gone']);
  expect(plan.services.size).toBe(0);
});

test('costs the Services that are named and no others', () => {
  const store = new ClusterStore(0);
  store.apply([{ op: 'set', object: makeService() }]);
  const asked: string[] = [];
  const state = {
    services: store.services,
    nodes: store.nodes,
    slicesOf: (of: typeof key) => {
      asked.push(of);
      return store.slicesOf(of);
    },
  };
  planChanges(planCluster(store, 'IPv4', settings), state, [key]);
  expect(asked).toEqual([key]);
});
