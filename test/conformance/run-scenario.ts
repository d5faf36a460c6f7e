/** Scenarios on a real kernel. */
import type { Lab, LabConnection } from '../support/lab/lab';
import type { IptablesVariant } from '../support/lab/proxied-node';
import { type ClusterOptions, ProxiedCluster } from './proxied-cluster';
import {
  type CheckedProbe,
  meets,
  printProbe,
  type Probe,
  type ProbeResult,
  type Scenario,
  type Step,
  summarizeAnswers,
} from './scenario';

interface Running {
  readonly lab: Lab;
  readonly slow: number;
  readonly held: Map<string, LabConnection>;
}

async function hold(probe: Extract<Probe, { hold: string }>, { lab, held, slow }: Running): Promise<ProbeResult> {
  const { from, to, port } = probe;
  const connection = await lab.hold(from, { to, port, timeoutMs: 2000 * slow });
  held.set(probe.hold, connection);
  return { outcome: connection.answer.outcome };
}

async function askHeld(name: string, { held }: Running): Promise<ProbeResult> {
  const connection = held.get(name);
  if (connection?.answer.outcome !== 'ok') return { outcome: 'was never open' };
  const { pod } = connection.answer;
  const answer = await connection.ask();
  return { outcome: answer.outcome === 'ok' && answer.pod !== pod ? `answered by ${answer.pod}` : answer.outcome };
}

async function get(probe: Extract<Probe, { http: string }>, { lab, slow }: Running): Promise<ProbeResult> {
  const { status, body } = await lab.http(probe.from, probe.http, 3000 * slow);
  if (probe.json === undefined) return { status };
  let parsed: Record<string, unknown> = {};
  try {
    parsed = JSON.parse(body) as Record<string, unknown>;
  } catch {
    return { status, json: null };
  }
  return { status, json: Object.fromEntries(probe.json.map((key) => [key, parsed[key] ?? null])) };
}

async function runProbe(probe: Probe, running: Running): Promise<ProbeResult> {
  if ('held' in probe) return askHeld(probe.held, running);
  if ('hold' in probe) return hold(probe, running);
  if ('http' in probe) return get(probe, running);
  if ('ping' in probe) return { outcome: await running.lab.ping(probe.from, probe.ping) };
  const { from, to, port, proto, count = 1, sport, src } = probe;
  const answers = await running.lab.probe(from, {
    to,
    port,
    count,
    // Two unanswered connections wait at the same time. Only one socket at a time can have a fixed source port.
    parallel: count <= 2 && sport === undefined ? count : 1,
    // A client misses a rejection that arrives while connect() is still at work. The next SYN follows after a second.
    timeoutMs: 1000 + 300 * running.slow,
    ...(proto === undefined ? {} : { protocol: proto }),
    ...(sport === undefined ? {} : { sourcePort: sport }),
    ...(src === undefined ? {} : { sourceAddress: src }),
  });
  return summarizeAnswers(answers);
}

/** Probes from one source run one after the other. Different sources run at the same time. */
async function runProbes(probes: readonly CheckedProbe[], running: Running): Promise<string[]> {
  const sourceOf = ({ probe }: CheckedProbe): string => ('from' in probe ? probe.from : '');
  const differences = [...new Set(probes.map(sourceOf))].map(async (source) => {
    const lines: string[] = [];
    for (const { probe, expectation } of probes.filter((checked) => sourceOf(checked) === source)) {
      const seen = await runProbe(probe, running);
      if (meets(expectation, seen)) continue;
      const { kind, result } = expectation;
      lines.push(`${printProbe(probe)}: ${kind} ${JSON.stringify(result)}, here ${JSON.stringify(seen)}`);
    }
    return lines;
  });
  return (await Promise.all(differences)).flat();
}

async function runCommands(
  commands: readonly string[],
  { lab }: Running,
  variant: IptablesVariant | undefined,
): Promise<void> {
  const suffix = variant === undefined ? '' : `-${variant}`;
  const tools = `IPTABLES="iptables${suffix} -w" IP6TABLES="ip6tables${suffix} -w"`;
  for (const command of commands) await lab.run('node', 'sh', ['-c', `${tools}; ${command}`]);
}

async function enter(step: Step, cluster: ProxiedCluster): Promise<void> {
  if (!cluster.isStarted) await cluster.start(step.objects ?? []);
  else if (step.restart === true) await cluster.restart(step.objects);
  else if (step.objects !== undefined) await cluster.apply(step.objects);
}

/**
 * Returns one line per probe whose result differed, followed by the end of the proxy's log, or an empty list if none differed.
 * Throws if the scenario could not be run: the proxy ended, or never said that it had synced.
 */
async function runSteps({ steps }: Scenario, cluster: ProxiedCluster): Promise<string[]> {
  const { slow = 1, variant } = cluster.options;
  const running: Running = { lab: cluster.lab, slow, held: new Map() };
  const differences: string[] = [];
  for (const [n, step] of steps.entries()) {
    await enter(step, cluster);
    await runCommands(step.run ?? [], running, variant);
    differences.push(...(await runProbes(step.probes, running)).map((line) => `step ${n + 1}: ${line}`));
  }
  return differences.length === 0 ? [] : [...differences, cluster.log().slice(-3000)];
}

type Options = Omit<ClusterOptions, 'config' | 'faults'>;

function clusterFor({ config, faults }: Scenario, options: Options): ProxiedCluster {
  return new ProxiedCluster({ ...options, ...(config && { config }), ...(faults && { faults }) });
}

/** Whether it needs a proxy, an API server or a node of its own. */
function isSpecial({ config, faults, steps }: Scenario): boolean {
  return config !== undefined || faults !== undefined || steps.some(({ run }) => run !== undefined);
}

/**
 * Runs scenarios one after the other. One that needs nothing special uses the proxy that already runs, on the node as the scenario
 * before left it: only the state of the cluster may matter, not its history. Where processes start slowly, give it a lab too.
 */
export class ScenarioSeries {
  private cluster: ProxiedCluster | undefined;

  constructor(private readonly options: Options) {}

  /** Returns the scenarios in the order that needs the fewest starts. */
  static order(scenarios: readonly Scenario[]): Scenario[] {
    return scenarios.toSorted((a, b) => Number(isSpecial(a)) - Number(isSpecial(b)));
  }

  async run(scenario: Scenario): Promise<string[]> {
    if (isSpecial(scenario)) await this.stop();
    this.cluster ??= clusterFor(scenario, this.options);
    let differences: string[] | undefined;
    try {
      differences = await runSteps(scenario, this.cluster);
      return differences;
    } finally {
      // After a failure nobody knows what the next one would find.
      if (isSpecial(scenario) || differences?.length !== 0) await this.stop();
    }
  }

  /** A lab that was given stays up, and its node is cleaned. */
  async stop(): Promise<void> {
    const { cluster } = this;
    this.cluster = undefined;
    await cluster?.stop();
  }
}
