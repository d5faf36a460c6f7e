/** A mode of the record on the kernel of a fresh namespace, through a history of clusters; tells what was not as it should be. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Backend } from '../../src/backends/backend';
import { collectClaims } from '../../src/compare/claims';
import { sameValue } from '../../src/model/same-value';
import { comparePlan } from '../../src/compare/compare-plan';
import { parseKernel } from '../../src/compare/parse-kernel';
import { completeConfiguration } from '../../src/config/complete';
import type { ProxyConfiguration } from '../../src/config/configuration';
import { systemClock } from '../../src/host/clock';
import { runCommand } from '../../src/host/command';
import { Conntrack } from '../../src/host/conntrack';
import { readKernelHere } from '../../src/inspect/kernel-texts';
import type { Assumption } from '../../src/machine/assumption';
import { openMachine } from '../../src/machine/open-machine';
import type { Family } from '../../src/model/address';
import { ClusterStore } from '../../src/model/cluster-store';
import type { ProxyMode } from '../../src/model/proxy-mode';
import { modes } from '../../src/modes/modes';
import { type Frontend, type Plan, type ServicePlan, servicePortName } from '../../src/planner/plan';
import { planCluster } from '../../src/planner/plan-cluster';
import { createLogger } from '../../src/telemetry/logger';
import { OpenQuestions } from '../../src/telemetry/open-questions';
import { largeHistoryArb } from '../support/large-histories';
import type { ModeReport } from '../support/mode-cases';
import { clusterIP, endpoint, plan as makePlan, planDifference, service, servicePort } from '../support/plans';

const [mode, variant, seed = '1', size = '120', plain = '600'] = process.argv.slice(2) as [
  ProxyMode,
  'nft' | 'legacy',
  string?,
  string?,
  string?,
];
const samples = 20;
const families: readonly Family[] = ['IPv4', 'IPv6'];
const log = createLogger({ verbosity: 0, format: 'text' });
const foreignVip = '192.0.2.1/32';
const hostAddresses = ['192.168.88.10', 'fd88::10'];
const run = (file: string, ...args: readonly string[]): string => execFileSync(file, args, { encoding: 'utf8' });

/** With enough chains for several calls of a tool that takes a thousand at a time. */
function plainServices(family: Family): ServicePlan[] {
  return Array.from({ length: Number(plain) }, (_, n) => {
    const [high, low] = [n >> 8, n & 255];
    const vip = family === 'IPv4' ? `10.97.${high}.${low}` : `fd97::${high + 1}:${low + 1}`;
    const pod = family === 'IPv4' ? `10.244.${high}.${low}` : `fd44::${high + 1}:${low + 1}`;
    const nodePort: Frontend = { ...clusterIP('', 20_000 + n), kind: 'NodePort', masquerade: 'always' };
    const frontends = [clusterIP(vip), nodePort];
    return service([servicePort(`plain${n}`, { frontends, clusterEndpoints: [endpoint(pod)] })]);
  });
}

/** Of some random histories that whose largest round is nearest to the size asked for, then plain Services, and none at last. */
function plansOf(family: Family): Plan[] {
  const histories = fc.sample(largeHistoryArb, { numRuns: samples, seed: Number(seed) });
  const farOff = (history: (typeof histories)[number]): number =>
    Math.abs(Math.max(...history.map((changes) => changes.length)) - Number(size));
  const [history = []] = histories.toSorted((a, b) => farOff(a) - farOff(b));
  const store = new ClusterStore(0);
  const { settings } = makePlan(family, [], { hostAddresses });
  const planNow = (): Plan => planCluster(store, family, settings);
  const plans = history.map((changes) => {
    store.apply(changes);
    return planNow();
  });
  return [
    ...plans,
    makePlan(family, plainServices(family), { hostAddresses }),
    makePlan(family, [], { hostAddresses }),
  ];
}

function configurationOf(): ProxyConfiguration {
  const { configuration, problems } = completeConfiguration({ mode });
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return configuration;
}

/** What a process that has just started would write. */
async function writesOf(configuration: ProxyConfiguration, plan: Plan): Promise<string> {
  const { family } = plan;
  const assume = ({ what }: Assumption): void => {
    throw new Error(what);
  };
  const backends = await modes[mode].dryBackends({ configuration, iptablesVariant: variant, log, assume });
  const backend = backends.get(family);
  if (backend === undefined) throw new Error(`${mode} has no backend for ${family}`);
  backend.render(plan);
  await backend.read();
  const batch = backend.diff();
  return batch === undefined ? '' : backend.print(batch);
}

interface Wrong {
  /** The service port; '' if it is not known. */
  readonly port: string;
  readonly frontend: string;
  /** It is in no Service of the Plan. */
  readonly isExtra: boolean;
}

/** Of each Plan the frontends whose connections are not as it wants them, by what the kernel holds now. */
async function wrongBy(plans: readonly Plan[]): Promise<readonly (readonly Wrong[])[]> {
  const { texts } = await readKernelHere(variant, log);
  return plans.map((plan) => {
    const parsed = parseKernel(texts.get(plan.family) ?? {}, plan, hostAddresses);
    if (parsed === undefined) return [{ port: '', frontend: 'nothing can be read', isExtra: false }];
    const { kernel, nodeAddresses, hasRules } = parsed;
    const { differences, undecided } = comparePlan(plan, kernel, {
      nodeAddresses,
      hasRules,
      excludeCIDRs: [foreignVip],
    });
    const wrong = differences.filter(({ known }) => known === undefined);
    return [
      ...wrong.map(({ service: port, frontend, change }) => ({ port, frontend, isExtra: change === 'extra' })),
      ...undecided.map(({ service: port, frontend }) => ({ port, frontend, isExtra: false })),
    ];
  });
}

/** What a batch writes, in whatever order: chains come in the order in which they changed, and marks in the order of their ports. */
function linesOf(backend: Backend<unknown>, batch: unknown): string {
  if (batch === undefined) return '';
  const text = backend.print(batch).replace(/(skbmark |-f |IPVS-MARKS )[\dxa-f/]+/g, '$1MARK');
  return text.split('\n').toSorted().join('\n');
}

/** Service ports with a frontend that others claim too: which one has it is not the same for every client. */
function contestedPorts(plan: Plan): string[] {
  const contested = [...collectClaims(plan).values()].filter((claims) => claims.length > 1);
  return contested.flatMap((claims) => claims.map(({ port }) => servicePortName(port)));
}

/** Service ports that are the same in both Plans. */
function unchangedPorts(before: Plan, plan: Plan): ReadonlySet<string> {
  const same = [...plan.services.values()].filter((one) => sameValue(before.services.get(one.key), one));
  return new Set(same.flatMap((one) => one.ports.map(servicePortName)));
}

class FamilyRun {
  readonly again: string[] = [];
  readonly differing: string[] = [];
  readonly harmed: string[] = [];
  readonly wrong: string[] = [];
  steps = 0;
  #now: Plan;

  constructor(
    readonly family: Family,
    readonly backend: Backend<unknown>,
    readonly configuration: ProxyConfiguration,
  ) {
    this.#now = makePlan(family, [], { hostAddresses });
  }

  async start(): Promise<void> {
    await this.backend.read();
    this.backend.render(this.#now);
    const batch = this.backend.diff();
    if (batch !== undefined) await this.backend.apply(batch);
  }

  async round(number: number, plan: Plan): Promise<void> {
    const { backend, configuration, family } = this;
    const name = `${family}, round ${number}`;
    const before = this.#now;
    backend.renderChanges(plan, planDifference(before, plan));
    const batch = backend.diff();
    const byChanges = linesOf(backend, batch);
    backend.render(plan);
    if (linesOf(backend, backend.diff()) !== byChanges) this.differing.push(name);
    if (Array.isArray(batch)) await this.#applySteps(batch, { before, plan, name });
    else if (batch !== undefined) await backend.apply(batch);
    const again = await writesOf(configuration, plan);
    if (again !== '') this.again.push(`${name}: ${again}`);
    this.#now = plan;
  }

  async #applySteps(
    batch: readonly unknown[],
    { before, plan, name }: { readonly before: Plan; readonly plan: Plan; readonly name: string },
  ): Promise<void> {
    this.steps = Math.max(this.steps, batch.length);
    const unchanged = unchangedPorts(before, plan);
    const contested = new Set([...contestedPorts(before), ...contestedPorts(plan)]);
    for (const [i, one] of batch.entries()) {
      await this.backend.apply([one]);
      const [asBefore = [], asWanted = []] = await wrongBy([before, plan]);
      const notAsBefore = new Set(asBefore.map(({ frontend }) => frontend));
      const isLast = i === batch.length - 1;
      const step = `${name}, step ${i + 1} of ${batch.length}`;
      for (const { port, frontend, isExtra } of asWanted.filter((wrong) => !contested.has(wrong.port))) {
        if (unchanged.has(port)) this.harmed.push(`${step}: ${frontend}`);
        // One that goes may be refused for a moment before it is nobody's.
        if (isLast || (!isExtra && notAsBefore.has(frontend))) this.wrong.push(`${step}: ${frontend}`);
      }
    }
  }
}

/** What a node has of ours, and a rule and a set of somebody else. */
function leftOnNode(): string[] {
  const saves = ['iptables', 'ip6tables'].map((tool) => run(`${tool}-${variant}-save`));
  const rules = saves.flatMap((text) => text.split('\n').filter((line) => /^(:KUBE|-A)/.test(line)));
  const tables = run('nft', 'list', 'tables')
    .split('\n')
    .filter((line) => line.endsWith(' kube-proxy'));
  if (mode !== 'ipvs') return [...rules, ...tables];
  const servers = run('ipvsadm', '-Sn').split('\n');
  const sets = run('ipset', 'list', '-name').split('\n');
  const links = run('ip', '-o', 'link')
    .split('\n')
    .filter((line) => line.includes('kube-ipvs0'));
  return [...rules, ...servers, ...sets, ...links].filter((line) => line !== '');
}

async function main(): Promise<ModeReport> {
  run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'peer0');
  run('ip', 'address', 'add', '192.168.88.10/24', 'dev', 'eth0');
  run('ip', 'address', 'add', 'fd88::10/64', 'dev', 'eth0', 'nodad');
  run('ip', 'link', 'set', 'eth0', 'up');
  run(`iptables-${variant}`, '-t', 'nat', '-A', 'POSTROUTING', '-j', 'RETURN');
  if (mode === 'ipvs') run('ipvsadm', '-A', '-t', `${foreignVip.replace('/32', '')}:80`);
  const foreign = leftOnNode();
  const configuration = configurationOf();
  const machine = await openMachine({
    ...{ mode: modes[mode], iptablesVariant: variant, drainLimitMs: 1, configuration, clock: systemClock, log },
    questions: new OpenQuestions(log),
    conntrack: new Conntrack(runCommand),
    leftByOthers: () => [],
    familyOpened: () => undefined,
    countPackets: () => undefined,
  });
  const runs: FamilyRun[] = [];
  for (const family of families) {
    const backend = machine.backends.get(family);
    if (backend === undefined) throw new Error(`${family} is not served`);
    const one = new FamilyRun(family, backend, configuration);
    await one.start();
    for (const [i, plan] of plansOf(family).entries()) await one.round(i + 1, plan);
    runs.push(one);
  }
  machine.close?.();
  const bundle = join(process.cwd(), 'dist/vipwire.cjs');
  const ofVariant = modes[mode].isOnTables ? [`--iptables-variant=${variant}`] : [];
  const { status } = spawnSync(process.execPath, [bundle, 'cleanup', ...ofVariant]);
  const left = leftOnNode();
  return {
    again: runs.flatMap(({ again }) => again),
    differing: runs.flatMap(({ differing }) => differing),
    harmed: runs.flatMap(({ harmed }) => harmed),
    wrong: runs.flatMap(({ wrong }) => wrong),
    left: [
      ...(status === 0 ? [] : [`cleanup: exit ${status}`]),
      ...left.filter((line) => !foreign.includes(line)),
      ...foreign.filter((line) => !left.includes(line)).map((line) => `gone: ${line}`),
    ],
    steps: Math.max(...runs.map(({ steps }) => steps)),
  };
}

void main().then((report) => process.stdout.write(JSON.stringify(report)));
