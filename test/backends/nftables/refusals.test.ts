/** A Service that the kernel refuses costs no other Service anything. */
import { NftablesBackend } from '../../../src/backends/nftables/backend';
import { RefusedWritesError, type TableWrite } from '../../../src/backends/nftables/objects';
import type { ServicePlan } from '../../../src/planner/plan';
import { parseScheduler, type Scheduler } from '../../../src/model/scheduler';
import { clusterIP, endpoint, plan, planDifference, service, servicePort } from '../../support/plans';
import { InMemoryTable } from './in-memory';

function named(name: string, address: string, scheduler?: Scheduler): ServicePlan {
  const frontends = [clusterIP(address)];
  const clusterEndpoints = [endpoint('10.244.1.2')];
  return service([servicePort(name, { frontends, clusterEndpoints, ...(scheduler && { scheduler }) })]);
}

const vips = (kernel: InMemoryTable): string[] => [...(kernel.table?.sets.get('vipwire-vips')?.elements.keys() ?? [])];

/** Two rounds, the second one after a failure: it reads again. */
async function twoRounds(kernel: InMemoryTable, services: readonly ServicePlan[]): Promise<NftablesBackend> {
  const backend = new NftablesBackend('IPv4', { masqueradeMark: 0x4000 }, kernel);
  await backend.read();
  backend.render(plan('IPv4', services));
  await expect(backend.apply(backend.diff() ?? [])).rejects.toThrow(RefusedWritesError);
  await backend.read();
  await backend.apply(backend.diff() ?? []);
  return backend;
}

test('an element', async () => {
  const kernel = new InMemoryTable('IPv4');
  kernel.lacks = (write) =>
    write.op === 'add-elements' && write.elements.some(({ comment }) => comment === 'default/bad')
      ? 'EINVAL'
      : undefined;
  const services = [named('bad', '10.96.0.1'), named('good', '10.96.0.2'), named('other', '10.96.0.3')];
  const backend = await twoRounds(kernel, services);
  expect(vips(kernel).sort()).toEqual(['10.96.0.2 . tcp . 80', '10.96.0.3 . tcp . 80']);
  expect(backend.takeWarnings()).toEqual([
    {
      object: 'Service default/bad',
      kind: 'refused-by-kernel',
      message: 'the kernel refuses what default/bad needs at 10.96.0.1 tcp 80 (EINVAL): it is left out',
    },
  ]);
  expect(backend.diff()).toBeUndefined();
  // Once something else is wanted there, it is tried again.
  kernel.lacks = undefined;
  const next = plan('IPv4', [named('bad', '10.96.0.1', parseScheduler('rr')), ...services.slice(1)]);
  backend.renderChanges(next, planDifference(plan('IPv4', services), next));
  await backend.apply(backend.diff() ?? []);
  expect(vips(kernel)).toHaveLength(3);
});

test("a chain that needs what the kernel does not have: a Service's own scheduler", async () => {
  const kernel = new InMemoryTable('IPv4');
  const usesHash = (write: TableWrite): boolean =>
    write.op === 'set-rules' && JSON.stringify(write.rules).includes('"kind":"hash"');
  kernel.lacks = (write) => (usesHash(write) ? 'ENOENT' : undefined);
  const backend = await twoRounds(kernel, [
    named('by-hash', '10.96.0.1', parseScheduler('mh')),
    named('good', '10.96.0.2'),
    named('in-turn', '10.96.0.3', parseScheduler('rr')),
  ]);
  expect(vips(kernel).sort()).toEqual(['10.96.0.2 . tcp . 80', '10.96.0.3 . tcp . 80']);
  expect(backend.takeWarnings().map(({ object }) => object)).toEqual(['Service default/by-hash']);
  expect(backend.diff()).toBeUndefined();
  // Another Service that needs the same chain is left out at once, and is named too.
  const now = [named('late', '10.96.0.4', parseScheduler('sh')), named('fine', '10.96.0.5')];
  backend.renderChanges(plan('IPv4', now), new Map(now.map((one) => [one.key, one])));
  await backend.apply(backend.diff() ?? []);
  expect(vips(kernel)).toContain('10.96.0.5 . tcp . 80');
  expect(vips(kernel)).not.toContain('10.96.0.4 . tcp . 80');
  expect(backend.takeWarnings().map(({ object }) => object)).toEqual(['Service default/late']);
  expect(backend.diff()).toBeUndefined();
});

test('a table that is not as it was seen is nobody in particular', async () => {
  const kernel = new InMemoryTable('IPv4');
  kernel.lacks = (write) => (write.op === 'add-elements' ? 'EEXIST' : undefined);
  const backend = new NftablesBackend('IPv4', { masqueradeMark: 0x4000 }, kernel);
  await backend.read();
  backend.render(plan('IPv4', [named('good', '10.96.0.2')]));
  await expect(backend.apply(backend.diff() ?? [])).rejects.toThrow(RefusedWritesError);
  expect(backend.takeWarnings()).toEqual([]);
  kernel.lacks = undefined;
  await backend.read();
  await backend.apply(backend.diff() ?? []);
  expect(vips(kernel)).toEqual(['10.96.0.2 . tcp . 80']);
});
