import fc from 'fast-check';
import { IptablesBackend } from '../../../src/backends/iptables/backend';
import { planSteps } from '../../../src/backends/iptables/diff';
import type { ServiceKey } from '../../../src/model/cluster';
import type { ServicePlan } from '../../../src/planner/plan';
import { applyPlanChanges } from '../../../src/planner/plan-changes';
import { printStep } from '../../../src/xtables/rules';
import { FakeIptables } from '../../support/fake-iptables';
import { clusterIP, endpoint, everyKind, plan, service, servicePort } from '../../support/plans';
import { iptablesSettings } from '../../support/settings';

async function write(backend: IptablesBackend): Promise<string> {
  const steps = backend.diff() ?? [];
  await backend.apply(steps);
  return backend.print(steps);
}

/** As iptables-save prints it, sorted, because the order of chains shows who came first. */
function lines(tables: FakeIptables): string[] {
  return tables.print().split('\n').sort();
}

async function fromNothing(services: readonly ServicePlan[]): Promise<FakeIptables> {
  const tables = new FakeIptables();
  const backend = new IptablesBackend('IPv4', iptablesSettings, tables);
  await backend.read();
  backend.render(plan('IPv4', services));
  await write(backend);
  return tables;
}

test('render does not depend on the order of services', () => {
  const print = (services: readonly ServicePlan[]): string => {
    const backend = new IptablesBackend('IPv4', iptablesSettings, new FakeIptables());
    backend.render(plan('IPv4', services));
    return backend
      .print(backend.diff() ?? [])
      .split('\n')
      .sort()
      .join('\n');
  };
  const services = everyKind('IPv4');
  expect(print([...services].reverse())).toBe(print(services));
});

test('a second write is empty, and so is the write of a new process', async () => {
  const services = everyKind('IPv4');
  const tables = await fromNothing(services);
  const next = new IptablesBackend('IPv4', iptablesSettings, tables);
  next.render(plan('IPv4', services));
  await next.read();
  expect(next.diff()).toBeUndefined();
});

test('a change of one endpoint writes its chain and nothing else', async () => {
  const pods = Array.from({ length: 10 }, (_, i) => endpoint(`10.244.1.${i}`));
  const web = (endpoints: typeof pods): ServicePlan =>
    service([servicePort('web', { frontends: [clusterIP('10.96.0.10')], clusterEndpoints: endpoints })]);
  const tables = new FakeIptables();
  const backend = new IptablesBackend('IPv4', iptablesSettings, tables);
  const current = plan('IPv4', [...everyKind('IPv4'), web(pods)]);
  backend.render(current);
  await write(backend);
  const after = web([...pods.slice(0, 9), endpoint('10.244.2.99')]);
  const changes = new Map([[after.key, after]]);
  applyPlanChanges(current, changes);
  backend.renderChanges(current, changes);
  const text = await write(backend);
  expect(text.split('\n').filter((line) => line.startsWith(':'))).toEqual([
    expect.stringMatching(/^:KUBE-SVC-[A-Z2-7]{16} - \[0:0\]$/),
  ]);
  expect(text).toContain('-j DNAT --to-destination 10.244.2.99:8080');
  expect(text.length).toBeLessThan(4096);
});

test('any sequence of changes ends in the rules of a new start, and a failed write loses none of them', async () => {
  const kinds = everyKind('IPv4');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ toggles: fc.array(fc.nat(kinds.length - 1), { maxLength: 12 }), fails: fc.boolean() }), {
        maxLength: 8,
      }),
      async (rounds) => {
        const tables = new FakeIptables();
        const backend = new IptablesBackend('IPv4', iptablesSettings, tables);
        const current = plan('IPv4', []);
        backend.render(current);
        for (const { toggles, fails } of rounds) {
          const changes = new Map<ServiceKey, ServicePlan | undefined>();
          for (const kind of toggles.map((at) => kinds[at]))
            if (kind !== undefined) changes.set(kind.key, current.services.has(kind.key) ? undefined : kind);
          applyPlanChanges(current, changes);
          backend.renderChanges(current, changes);
          if (fails) {
            tables.failures = 1;
            await write(backend).catch(() => backend.read());
            tables.failures = 0;
          } else await write(backend);
        }
        await write(backend);
        expect(backend.diff()).toBeUndefined();
        const expected = await fromNothing([...current.services.values()]);
        expect(lines(tables)).toEqual(lines(expected));
      },
    ),
    { numRuns: 40 },
  );
});

test('a large write is done in steps, and the kernel takes each by itself', async () => {
  const tables = new FakeIptables();
  // Chains that somebody left behind: they jump to each other, and their names are no longer wanted.
  await tables.restore('*nat\n:KUBE-SVC-OLD - [0:0]\n:KUBE-SEP-OLD - [0:0]\n-A KUBE-SVC-OLD -j KUBE-SEP-OLD\nCOMMIT\n');
  const backend = new IptablesBackend('IPv4', iptablesSettings, tables);
  await backend.read();
  backend.render(plan('IPv4', everyKind('IPv4')));
  const steps = planSteps(
    backend.rules,
    { missingJumps: backend.rules.jumps, staleJumps: [], usedByOthers: new Set() },
    5,
  );
  expect(new Set(steps.map(({ title }) => title))).toEqual(new Set(['marks', 'services', 'dispatch', 'removals']));
  for (const step of steps) await tables.restore(printStep(step));
  await backend.read();
  expect(backend.diff()).toBeUndefined();
});

test('when it is stopped, it ends after the current step', async () => {
  const tables = new FakeIptables();
  const backend = new IptablesBackend('IPv4', iptablesSettings, tables);
  backend.render(plan('IPv4', everyKind('IPv4')));
  const steps = planSteps(
    backend.rules,
    { missingJumps: backend.rules.jumps, staleJumps: [], usedByOthers: new Set() },
    5,
  );
  const stop = new AbortController();
  tables.beforeCommit = () => stop.abort();
  await backend.apply(steps, stop.signal);
  expect(tables.inputs).toHaveLength(1);
});
