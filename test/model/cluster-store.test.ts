import fc from 'fast-check';
import type { ClusterChange, EndpointSlice, Node, Service } from '../../src/model/cluster';
import { serviceKey } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import { historyArb } from '../support/cluster-arbitraries';
import { makeEndpoint, makeNode, makeService, makeSlice } from '../support/cluster-objects';

const web = serviceKey('default', 'web');
const api = serviceKey('default', 'api');
const set = (object: Service | EndpointSlice | Node): ClusterChange => ({ op: 'set', object });
const deleteSlice = (name: string, source: EndpointSlice['source'] = 'EndpointSlice'): ClusterChange => ({
  op: 'delete',
  kind: 'EndpointSlice',
  source,
  namespace: 'default',
  name,
});
const endpointsOf = (subset: string, ...addresses: string[]): EndpointSlice =>
  makeSlice(
    addresses.map((address) => makeEndpoint(address)),
    { source: 'Endpoints', name: `web/${subset}` },
  );

function storeWith(...batches: ClusterChange[][]): ClusterStore {
  const store = new ClusterStore(0);
  for (const batch of batches) store.apply(batch);
  return store;
}

/** What it changed, as `takeChanged` tells. */
function changedBy(store: ClusterStore, ...changes: ClusterChange[]): string[] {
  store.takeChanged();
  store.apply(changes);
  const { services, nodes, serviceCIDRs } = store.takeChanged();
  return [...services, ...(nodes ? ['nodes'] : []), ...(serviceCIDRs ? ['serviceCIDRs'] : [])];
}

function addresses(store: ClusterStore, key = web): string[] {
  return store.slicesOf(key).flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
}

/** Everything that a reader of the store can see, in no order. */
function contents(store: ClusterStore): unknown {
  const keys = ['web', 'api', 'dns'].map((name) => serviceKey('default', name));
  return { services: store.services, nodes: store.nodes, slices: keys.map((key) => store.slicesOf(key)) };
}

test('what it holds does not depend on the batches, nor on what was before the last word', () => {
  fc.assert(
    fc.property(historyArb, (history) => {
      const store = storeWith(...history);
      expect(contents(storeWith(history.flat()))).toEqual(contents(store));
      expect(contents(storeWith(...history.flat().map((change) => [change])))).toEqual(contents(store));
      // A fresh store that is told the outcome alone, in another order.
      const objects = [...store.services.values(), ...store.nodes.values()];
      const slices = ['web', 'api', 'dns'].flatMap((name) => store.slicesOf(serviceKey('default', name)));
      const again = storeWith([...slices.toReversed(), ...objects.toReversed()].map(set));
      expect(contents(again)).toEqual(contents(store));
      // Told again, it changes nothing.
      expect(changedBy(store, ...[...objects, ...slices].map((object) => set(structuredClone(object))))).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

/** Whether an Endpoints object or an EndpointSlice says so makes no difference to a Plan. */
const withoutSource = (slice: EndpointSlice): object => ({ ...slice, source: undefined });

test('a Service that did not change is not told as changed', () => {
  fc.assert(
    fc.property(historyArb, (history) => {
      const store = new ClusterStore(0);
      for (const batch of history) {
        const before = structuredClone(contents(store)) as {
          services: Map<string, unknown>;
          slices: EndpointSlice[][];
        };
        store.apply(batch);
        const { services } = store.takeChanged();
        for (const [i, name] of ['web', 'api', 'dns'].entries()) {
          const key = serviceKey('default', name);
          if (services.has(key)) continue;
          expect(store.services.get(key)).toEqual(before.services.get(key));
          expect(store.slicesOf(key).map(withoutSource)).toEqual(before.slices[i]?.map(withoutSource));
        }
      }
    }),
  );
});

describe('Services and nodes', () => {
  test('come, change and go', () => {
    const store = storeWith();
    expect(changedBy(store, set(makeService()))).toEqual([web]);
    expect(changedBy(store, set(makeService()))).toEqual([]);
    expect(changedBy(store, set(makeService({ affinitySeconds: 60 })))).toEqual([web]);
    expect(changedBy(store, { op: 'delete', kind: 'Service', namespace: 'default', name: 'web' })).toEqual([web]);
    expect(changedBy(store, { op: 'delete', kind: 'Service', namespace: 'default', name: 'web' })).toEqual([]);
    expect(changedBy(store, set(makeNode()))).toEqual(['nodes']);
    expect(changedBy(store, set(makeNode()))).toEqual([]);
    expect(changedBy(store, set(makeNode({ zone: 'z1' })))).toEqual(['nodes']);
    expect(changedBy(store, { op: 'delete', kind: 'Node', namespace: '', name: 'node' })).toEqual(['nodes']);
    expect(store.nodes.size + store.services.size).toBe(0);
  });
});

describe('slices', () => {
  const one = makeSlice([makeEndpoint('10.0.0.1')]);
  const two = makeSlice([makeEndpoint('10.0.0.2')], { name: 'web-2' });

  test('are in the order of their names', () => {
    expect(addresses(storeWith([set(two), set(one)]))).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  test('one that is told again keeps the object that is there', () => {
    const store = storeWith([set(one)]);
    store.apply([set(structuredClone(one))]);
    expect(store.slicesOf(web)[0]).toBe(one);
  });

  test('one that comes to name another Service leaves the first', () => {
    const store = storeWith([set(one), set(two)]);
    expect(changedBy(store, set({ ...one, serviceName: 'api' }))).toEqual([web, api]);
    expect(addresses(store)).toEqual(['10.0.0.2']);
    expect(addresses(store, api)).toEqual(['10.0.0.1']);
    expect(changedBy(store, deleteSlice('web-1'))).toEqual([api]);
    expect(addresses(store, api)).toEqual([]);
  });

  test('one that is unknown goes without a change', () => {
    expect(changedBy(storeWith([set(one)]), deleteSlice('web'))).toEqual([]);
  });

  test('the same name in another namespace is another slice', () => {
    const store = storeWith([set(one), set({ ...two, name: 'web-1', namespace: 'shop' })]);
    expect(changedBy(store, deleteSlice('web-1'))).toEqual([web]);
    expect(addresses(store, serviceKey('shop', 'web'))).toEqual(['10.0.0.2']);
  });

  test('what goes and comes back as it was in one batch is no change', () => {
    const store = storeWith([set(one)]);
    expect(changedBy(store, deleteSlice('web-1'), set(structuredClone(one)))).toEqual([]);
    expect(changedBy(store, deleteSlice('web-1'), set(one), deleteSlice('web-1'))).toEqual([web]);
  });
});

describe('Endpoints objects', () => {
  test('serve where there is no EndpointSlice', () => {
    const store = storeWith([set(endpointsOf('0', '10.0.0.8'))]);
    expect(addresses(store)).toEqual(['10.0.0.8']);
    expect(changedBy(store, set(makeSlice([makeEndpoint('10.0.0.1')])))).toEqual([web]);
    expect(addresses(store)).toEqual(['10.0.0.1']);
    expect(changedBy(store, set(endpointsOf('0', '10.0.0.9')))).toEqual([]);
    expect(changedBy(store, deleteSlice('web-1'))).toEqual([web]);
    expect(addresses(store)).toEqual(['10.0.0.9']);
  });

  test('are told anew as a deletion and their slices', () => {
    const store = storeWith([set(endpointsOf('0', '10.0.0.1')), set(endpointsOf('1', '10.0.0.2'))]);
    const same = [
      deleteSlice('web', 'Endpoints'),
      set(endpointsOf('0', '10.0.0.1')),
      set(endpointsOf('1', '10.0.0.2')),
    ];
    expect(changedBy(store, ...same)).toEqual([]);
    expect(changedBy(store, ...same.slice(0, 2))).toEqual([web]);
    expect(addresses(store)).toEqual(['10.0.0.1']);
    expect(changedBy(store, deleteSlice('web', 'Endpoints'))).toEqual([web]);
    expect(addresses(store)).toEqual([]);
  });
});

describe('trigger times', () => {
  const at = (ms: number, ...addresses: string[]): ClusterChange =>
    set(
      makeSlice(
        addresses.map((address) => makeEndpoint(address)),
        { lastChangeTriggerMs: ms },
      ),
    );
  const timesOf = (store: ClusterStore): unknown => store.takeChanged().triggerTimesMs.get(web);

  test('are those of the changes since they were taken', () => {
    const store = new ClusterStore(1000);
    store.apply([at(2000, '10.0.0.1')]);
    store.apply([at(3000, '10.0.0.2')]);
    expect(timesOf(store)).toEqual([2000, 3000]);
    expect(timesOf(store)).toBeUndefined();
  });

  test('not those from before the start, nor those of no change', () => {
    const store = new ClusterStore(1000);
    store.apply([at(1000, '10.0.0.1')]);
    store.apply([at(2000, '10.0.0.1')]);
    expect(timesOf(store)).toBeUndefined();
  });

  test('a deleted slice takes them along', () => {
    const store = new ClusterStore(1000);
    store.apply([at(2000, '10.0.0.1')]);
    store.apply([deleteSlice('web-1')]);
    expect(timesOf(store)).toBeUndefined();
  });
});

test('the CIDRs of Services are those of all ServiceCIDRs, also where two have the same', () => {
  const store = new ClusterStore(0);
  const range = (name: string, ...cidrs: string[]): ClusterChange => ({
    op: 'set',
    object: { kind: 'ServiceCIDR', name, cidrs },
  });
  const gone = (name: string): ClusterChange => ({ op: 'delete', kind: 'ServiceCIDR', namespace: '', name });
  expect(store.serviceCIDRs).toEqual([]);
  expect(changedBy(store, range('kubernetes', '10.96.0.0/16', 'fd96::/112'))).toEqual(['serviceCIDRs']);
  expect(changedBy(store, range('kubernetes', '10.96.0.0/16', 'fd96::/112'))).toEqual([]);
  expect(changedBy(store, range('more', '10.100.0.0/16', '10.96.0.0/16'))).toEqual(['serviceCIDRs']);
  expect(store.serviceCIDRs).toEqual(['10.100.0.0/16', '10.96.0.0/16', 'fd96::/112']);
  expect(changedBy(store, gone('more'))).toEqual(['serviceCIDRs']);
  expect(store.serviceCIDRs).toEqual(['10.96.0.0/16', 'fd96::/112']);
  expect(changedBy(store, gone('more'))).toEqual([]);
  expect(changedBy(store, range('kubernetes'))).toEqual(['serviceCIDRs']);
  expect(store.serviceCIDRs).toEqual([]);
});
