import { IptablesBackend } from '../../../src/backends/iptables/backend';
import { planSteps } from '../../../src/backends/iptables/diff';
import type { MutablePlan } from '../../../src/planner/plan';
import { type Step } from '../../../src/xtables/rules';
import { FakeIptables } from '../../support/fake-iptables';
import { iptablesSettings } from '../../support/settings';

interface Start {
  readonly tables?: FakeIptables;
  readonly hasBpf?: boolean;
}

export async function backendFor(plan: MutablePlan, { tables = new FakeIptables(), hasBpf = true }: Start = {}) {
  const backend = new IptablesBackend('IPv4', { ...iptablesSettings, hasBpf }, tables);
  backend.render(plan);
  await backend.read();
  return backend;
}

async function missingJumps(backend: IptablesBackend, tables: FakeIptables) {
  const { jumps } = await tables.save();
  return backend.rules.jumps.filter(
    (jump) => !jumps.some(({ table, from, rule }) => table === jump.table && from === jump.from && rule === jump.rule),
  );
}

/** Writes in calls so small that few chains fit, as for a very large cluster. */
export async function largeSteps(backend: IptablesBackend, tables: FakeIptables, limit: number): Promise<Step[]> {
  return planSteps(
    backend.rules,
    { missingJumps: await missingJumps(backend, tables), staleJumps: [], usedByOthers: new Set() },
    limit,
  );
}
