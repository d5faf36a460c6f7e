import { NodeAddressBook } from '../../src/daemon/node-address-book';
import type { ServiceKey } from '../../src/model/cluster';
import { createLogger } from '../../src/telemetry/logger';
import { OpenQuestions } from '../../src/telemetry/open-questions';
import { FakeClock, settle } from '../reconciler/fake-clock';

const key = (name: string): ServiceKey => `default/${name}` as ServiceKey;
const taken = '192.168.88.11';
const free = '203.0.113.5';
const minute = 60_000;

class Cluster {
  readonly clock = new FakeClock();
  readonly stopping = new AbortController();
  readonly questions = new OpenQuestions(createLogger({ verbosity: 0, format: 'json' }, () => undefined));
  nodes: ReadonlyMap<string, string> | Error = new Map([[taken, 'node2']]);
  lists = 0;
  changes = 0;
  readonly found: string[] = [];
  readonly book = new NodeAddressBook({
    clock: this.clock,
    signal: this.stopping.signal,
    questions: this.questions,
    list: () => {
      this.lists++;
      return this.nodes instanceof Error ? Promise.reject(this.nodes) : Promise.resolve(this.nodes);
    },
    onChange: () => this.changes++,
    onFound: (service, address, node) => this.found.push(`${service} ${address} ${node}`),
  });

  async service(name: string, ...addresses: readonly string[]): Promise<void> {
    this.book.serviceChanged(key(name), addresses);
    await settle();
  }
}

let cluster: Cluster;
beforeEach(() => (cluster = new Cluster()));
afterEach(() => cluster.stopping.abort());

test('Services without external IPs ask for no list', async () => {
  await cluster.service('web');
  expect(cluster.lists).toBe(0);
});

test('one list for all, and the Service of an address that a Node has is named', async () => {
  cluster.book.serviceChanged(key('web'), [free]);
  cluster.book.serviceChanged(key('other'), [taken]);
  expect(cluster.book.judge(free)).toBe('unknown');
  expect(cluster.book.isWaiting).toBe(true);
  await settle();
  expect(cluster.lists).toBe(1);
  expect([cluster.book.judge(free), cluster.book.judge(taken)]).toEqual(['free', 'of a Node']);
  expect(cluster.book.isWaiting).toBe(false);
  expect(cluster.changes).toBe(1);
  expect(cluster.found).toContain(`default/other ${taken} node2`);
});

test('a list answers for five minutes; then a new IP asks for another one, by which all are judged', async () => {
  await cluster.service('web', free);
  await cluster.clock.advance(4 * minute);
  await cluster.service('two', '203.0.113.6');
  expect(cluster.lists).toBe(1);
  expect(cluster.book.judge('203.0.113.6')).toBe('free');
  await cluster.clock.advance(2 * minute);
  expect(cluster.lists).toBe(1);
  cluster.nodes = new Map([[free, 'node3']]);
  await cluster.service('three', '203.0.113.7');
  expect(cluster.lists).toBe(2);
  expect(cluster.book.judge(free)).toBe('of a Node');
  expect(cluster.found).toContain(`default/web ${free} node3`);
});

test('a list that fails is told and made again; what is new waits ten seconds and is then taken for free, until a list says more', async () => {
  cluster.nodes = new Error('403 nodes is forbidden');
  await cluster.service('web', taken);
  await cluster.clock.advance(9000);
  expect(cluster.book.judge(taken)).toBe('unknown');
  expect(cluster.questions.list()).toMatchObject([{ reason: '403 nodes is forbidden' }]);
  const before = cluster.changes;
  await cluster.clock.advance(1000);
  expect(cluster.book.judge(taken)).toBe('free');
  expect(cluster.changes).toBeGreaterThan(before);
  cluster.nodes = new Map([[taken, 'node2']]);
  await cluster.clock.advance(minute);
  expect(cluster.book.judge(taken)).toBe('of a Node');
  expect(cluster.questions.list()).toEqual([]);
  const { lists } = cluster;
  await cluster.clock.advance(60 * minute);
  expect(cluster.lists).toBe(lists);
});

test('what an earlier list found stays found while lists fail', async () => {
  await cluster.service('web', taken);
  await cluster.clock.advance(6 * minute);
  cluster.nodes = new Error('ECONNREFUSED');
  await cluster.service('web');
  await cluster.service('web', taken, free);
  expect([cluster.book.judge(taken), cluster.book.judge(free)]).toEqual(['of a Node', 'unknown']);
});

test('lists that fail become few, and end with the Service', async () => {
  cluster.nodes = new Error('403');
  await cluster.service('web', free);
  for (let i = 0; i < 60; i++) await cluster.clock.advance(minute);
  expect(cluster.lists).toBeLessThan(75);
  await cluster.service('web');
  const { lists } = cluster;
  await cluster.clock.advance(10 * minute);
  expect(cluster.lists).toBeLessThanOrEqual(lists + 1);
});
