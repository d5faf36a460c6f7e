import { NftablesBackend } from '../../../src/backends/nftables/backend';
import { stepLimits } from '../../../src/backends/nftables/message-size';
import type { SetElement, SetObject, TableWrite } from '../../../src/backends/nftables/objects';
import { StepBuilder } from '../../../src/backends/nftables/steps';
import { headerBytes } from '../../../src/host/netlink';
import { takeTransaction, transactionLimits } from '../../../src/host/nf-transaction';
import { families, type Family } from '../../../src/model/address';
import type { ServicePlan } from '../../../src/planner/plan';
import { messagesOf } from '../../support/nft-messages';
import { sampleTable, writesOfTable } from '../../support/nft-tables';
import { packWrites } from '../../support/pack-writes';
import { clusterIP, endpoint, plan, planDifference, service, servicePort } from '../../support/plans';
import { InMemoryTable } from './in-memory';

const vips: SetObject = { name: 'vipwire-vips', key: ['address', 'protocol', 'port'], data: 'verdict' };

function elementOf(i: number): SetElement {
  const key = `10.96.${(i >> 8) & 255}.${i & 255} . tcp . ${80 + (i >> 16)}`;
  return { key, value: 'goto vipwire-pick-2', comment: `tenant-${i % 100}/web-${i}:http` };
}

/** A transaction that does not fit is refused as a whole, and would be refused for ever. */
function expectFit(steps: Iterable<readonly TableWrite[]>, family: Family): void {
  for (const step of steps) {
    const messages = step.flatMap((write) => messagesOf(write, family));
    expect(takeTransaction(messages)).toBe(messages.length);
  }
}

test.each(families)('%s: steps of random tables fit a transaction', (family) => {
  for (let seed = 1; seed <= 20; seed++)
    expectFit(packWrites(writesOfTable(sampleTable(family, seed)), family), family);
});

test('many elements nearly fill a transaction each', () => {
  const elements = Array.from({ length: 20_000 }, (_, i) => elementOf(i));
  const steps = packWrites([{ op: 'add-elements', set: vips, elements }], 'IPv4');
  expectFit(steps, 'IPv4');
  const written = steps.flat().flatMap((write) => (write.op === 'add-elements' ? write.elements : []));
  expect(written).toEqual(elements);
  for (const step of steps.slice(0, -1)) {
    const messages = step.flatMap((write) => messagesOf(write, 'IPv4'));
    const bytes = messages.reduce((all, { payload }) => all + headerBytes + payload.length, 0);
    expect(bytes).toBeGreaterThan(0.7 * transactionLimits.bytes);
  }
});

test('what must be done at once stays together', () => {
  const to = new StepBuilder('IPv4', stepLimits);
  const count = 5000;
  for (let i = 0; i < count; i++) {
    const change = [{ set: vips, element: elementOf(i) }];
    to.add({ deletions: change, additions: change });
  }
  const steps = to.finish().map(({ writes }) => writes);
  expect(steps.length).toBeGreaterThan(1);
  const keysIn = (step: readonly TableWrite[], op: TableWrite['op']): readonly string[] =>
    step.flatMap((write) => (write.op === op && 'elements' in write ? write.elements.map(({ key }) => key) : []));
  for (const step of steps) expect(keysIn(step, 'add-elements')).toEqual(keysIn(step, 'delete-elements'));
  expect(steps.flatMap((step) => keysIn(step, 'add-elements'))).toHaveLength(count);
});

test('a change that is too large is a step of its own, and no changes give no steps', () => {
  const rules = Array.from({ length: 500 }, () => ({ statements: [{ kind: 'drop' as const }] }));
  const large: TableWrite = { op: 'set-rules', chain: 'vipwire-ranges', rules };
  expect(packWrites([large, large], 'IPv4')).toHaveLength(2);
  expect(packWrites([], 'IPv4')).toEqual([]);
});

/** Each has maps of its own, so that a step has elements of many sets. */
function affine(name: string, i: number, pods: number): ServicePlan {
  const frontends = [clusterIP(`10.96.${i >> 8}.${i & 255}`)];
  const clusterEndpoints = Array.from({ length: pods }, (_, pod) => endpoint(`10.244.${pod}.${i & 255}`));
  return service([servicePort(name, { frontends, clusterEndpoints, affinitySeconds: 600 })]);
}

test('hundreds of Services with session affinity come, change and go in transactions that fit', async () => {
  const kernel = new InMemoryTable('IPv4');
  const backend = new NftablesBackend('IPv4', { masqueradeMark: 0x4000 }, kernel);
  const some = (pods: number): ServicePlan[] => Array.from({ length: 400 }, (_, i) => affine(`web-${i}`, i, pods));
  await backend.read();
  let before = plan('IPv4', []);
  backend.render(before);
  for (const services of [some(2), some(3), some(1), []]) {
    const after = plan('IPv4', services);
    backend.renderChanges(after, planDifference(before, after));
    before = after;
    const steps = backend.diff() ?? [];
    expectFit(
      steps.map(({ writes }) => writes),
      'IPv4',
    );
    await backend.apply(steps);
    expect(backend.diff()).toBeUndefined();
  }
});
