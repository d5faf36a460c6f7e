/** Runs a scenario without a kernel: the backend writes tables in memory, and first packets are traced through them. */
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { families, type Family } from '../../src/model/address';
import type { PlanChanges } from '../../src/planner/plan';
import { FakeIptables } from '../support/fake-iptables';
import { printSetup } from '../support/lab/topology';
import { TracedNode } from '../support/trace-iptables-node';
import { parseTables, type TracedTables } from '../../src/trace/iptables-tables';
import { PlannedCluster } from './planned-cluster';
import { ProbeTracer } from './probe-tracer';
import type { Scenario, Step } from './scenario';

/** The tables of one family. */
class Tables {
  private readonly kernel = new FakeIptables();
  private readonly dropping: string[] = [];
  private backend: IptablesBackend | undefined;
  private parsed: TracedTables | undefined;

  constructor(
    readonly family: Family,
    private readonly cluster: PlannedCluster,
  ) {}

  /** By a process that has just started. */
  async writeAfresh(): Promise<void> {
    this.backend = new IptablesBackend(this.family, this.cluster.backendSettings, this.kernel);
    await this.backend.read();
    this.backend.render(this.cluster.plans[this.family]);
    await this.write(this.backend);
  }

  async change(changes: PlanChanges): Promise<void> {
    if (this.backend === undefined) throw new Error('nobody writes yet');
    this.backend.renderChanges(this.cluster.plans[this.family], changes);
    await this.write(this.backend);
  }

  private async write(backend: IptablesBackend): Promise<void> {
    await backend.apply(backend.diff() ?? []);
    this.parsed = undefined;
  }

  /** What follows `iptables` on its command line. */
  async command(text: string): Promise<void> {
    const policy = /^-P (\w+) DROP$/.exec(text)?.[1];
    if (policy !== undefined) this.dropping.push(policy);
    else await this.kernel.restore(`*filter\n${text}\nCOMMIT\n`);
    this.parsed = undefined;
  }

  get traced(): TracedTables {
    if (this.parsed !== undefined) return this.parsed;
    this.parsed = parseTables(this.kernel.print());
    for (const chain of this.dropping) this.parsed.filter.dropping.add(chain);
    return this.parsed;
  }
}

class TracedScenario {
  private readonly node = new TracedNode(printSetup('node'));
  private readonly cluster: PlannedCluster;
  readonly tables: Readonly<Record<Family, Tables>>;
  readonly tracer = new ProbeTracer(this.node);

  constructor(config: Scenario['config']) {
    this.cluster = new PlannedCluster(config, this.node.ownAddresses);
    this.tables = { IPv4: new Tables('IPv4', this.cluster), IPv6: new Tables('IPv6', this.cluster) };
  }

  async enter({ objects, restart, run }: Step, isFirst: boolean): Promise<void> {
    const changes = objects && this.cluster.apply(objects);
    for (const family of families) {
      if (isFirst || restart === true) await this.tables[family].writeAfresh();
      else if (changes !== undefined) await this.tables[family].change(changes[family]);
    }
    for (const command of run ?? []) await this.run(command);
  }

  private async run(command: string): Promise<void> {
    const [, tool, text = ''] = /^\$(IP6?TABLES) (.*)$/.exec(command) ?? [];
    if (tool !== undefined) await this.tables[tool === 'IPTABLES' ? 'IPv4' : 'IPv6'].command(text);
    else if (command.startsWith('ip addr add ')) this.node.configure(command.slice('ip '.length));
    else throw new Error(`cannot run ${command}`);
  }
}

/** Returns one line per probe that differs from its expectation, and the tracer with its counts. */
export async function traceScenario({
  config,
  steps,
}: Scenario): Promise<{ readonly differences: readonly string[]; readonly tracer: ProbeTracer }> {
  const scenario = new TracedScenario(config);
  const { tracer, tables } = scenario;
  const differences: string[] = [];
  for (const [n, step] of steps.entries()) {
    await scenario.enter(step, n === 0);
    for (const checked of step.probes) {
      const difference = tracer.check(checked, (family) => tables[family].traced);
      if (difference !== undefined) differences.push(`step ${n + 1}: ${difference}`);
    }
  }
  return { differences, tracer };
}
