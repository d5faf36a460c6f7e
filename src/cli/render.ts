/** Prints the whole rule set once: without root, without a kernel, on a laptop. */
import { nodeConfigOf } from '../agent-node';
import { IptablesBackend } from '../backends/iptables/backend';
import { printListing } from '../backends/iptables/print-listing';
import type { ProxyConfiguration } from '../config/configuration';
import { effectiveConfiguration } from '../config/effective';
import { readStandardInput, readTextFile } from '../host/files';
import type { Family } from '../model/address';
import type { Node } from '../model/cluster';
import { ClusterStore } from '../model/cluster-store';
import { sortedServices } from '../planner/describe';
import { planNodeSettings } from '../planner/node-settings';
import type { NodeSettings, Plan } from '../planner/plan';
import { planCluster } from '../planner/plan-cluster';
import { ManifestSource } from '../sources/manifests/manifest-source';
import type { Source } from '../sources/source';
import type { Logger } from '../telemetry/log';
import { createLogger } from '../telemetry/logger';
import type { KernelTables } from '../xtables/rules';
import { type RenderInvocation, version } from './command-line';
import { usualSettings } from './iptables-settings';
import { dryIpvsBackend } from './ipvs-machine';
import { listOnce, openKubernetes } from './source';
import { printSummary } from './summary';

export async function render(invocation: RenderInvocation): Promise<number> {
  const { configuration, warnings } = await effectiveConfiguration(invocation.flags, readTextFile);
  const log = createLogger(configuration.logging);
  for (const warning of warnings) log.warn(warning);
  const source = await openSource(invocation, configuration, log);
  const store = new ClusterStore(Date.now());
  await listOnce(source, store, log);

  const wanted = (invocation.node || configuration.hostnameOverride).trim().toLowerCase();
  const node = chooseNode(wanted, store, log);
  const nodeName = node?.name ?? wanted;
  const config = nodeConfigOf(configuration, nodeName);
  // The addresses of this machine are not those of the node in question: its own by the API are all that is known.
  const { settings, warnings: about } = planNodeSettings(config, node, node?.addresses ?? []);
  for (const { kind, message } of about) log.warn({ kind }, message);
  const plans = invocation.families.map((family) => planCluster(store, family, settings));
  // A cluster of one family has nothing to say in the other.
  const used = plans.filter((plan) => plan.services.size > 0);
  process.stdout.write(print(invocation, configuration, used.length > 0 ? used : plans.slice(0, 1)));
  return 0;
}

async function openSource(
  invocation: RenderInvocation,
  configuration: ProxyConfiguration,
  log: Logger,
): Promise<Source> {
  if (invocation.files.length === 0) return openKubernetes(configuration, invocation.node, log);
  const paths = invocation.files.filter((path) => path !== '-');
  const texts = paths.length === invocation.files.length ? [] : [{ path: '-', text: await readStandardInput() }];
  return ManifestSource.open({ paths, texts, watch: false });
}

/** The node that was named, or the only one given. */
function chooseNode(name: string, store: ClusterStore, log: Logger): Node | undefined {
  if (name !== '') {
    const node = store.nodes.get(name);
    if (node === undefined)
      log.warn({ node: name }, 'no Node of that name was given: its zone, addresses and podCIDRs are unknown');
    return node;
  }
  const [first, second] = store.nodes.values();
  if (second === undefined && first !== undefined) return first;
  const why = first === undefined ? 'no Node was given' : `${store.nodes.size} Nodes were given`;
  log.warn(`${why}: these are the rules of a node that has no pods; --node NAME says whose rules to print`);
  return undefined;
}

function print({ output }: RenderInvocation, configuration: ProxyConfiguration, plans: readonly Plan[]): string {
  if (output === 'json') return `${JSON.stringify(plans.map(printablePlan), null, 2)}\n`;
  if (output === 'summary') return plans.map((plan) => printSummary(plan)).join('\n');
  return plans.map((plan) => printRules(plan, configuration)).join('\n');
}

function printablePlan(plan: Plan): { family: Family; settings: NodeSettings; services: unknown[] } {
  return { family: plan.family, settings: plan.settings, services: sortedServices(plan) };
}

/** Nothing is read or written: a rule set in memory. */
const noTables: KernelTables = {
  variant: 'nft',
  save: () => Promise.reject(new Error('there are no tables')),
  restore: () => Promise.reject(new Error('there are no tables')),
  canariesStand: () => Promise.reject(new Error('there are no tables')),
};

function printRules(plan: Plan, configuration: ProxyConfiguration): string {
  if (configuration.mode === 'ipvs') return printIpvs(plan, configuration);
  const backend = new IptablesBackend(plan.family, usualSettings(configuration), noTables);
  backend.render(plan);
  const tool = plan.family === 'IPv4' ? 'iptables-restore' : 'ip6tables-restore';
  const node = plan.settings.nodeName === '' ? 'a node without pods' : `node ${plan.settings.nodeName}`;
  const title = `# vipwire ${version}, ${plan.family}, ${node}: input of ${tool} --noflush`;
  return `${title}\n${printListing(backend.rules, plan)}`;
}

function printIpvs(plan: Plan, configuration: ProxyConfiguration): string {
  const backend = dryIpvsBackend(plan.family, configuration, noTables);
  backend.render(plan);
  const node = plan.settings.nodeName === '' ? 'a node without pods' : `node ${plan.settings.nodeName}`;
  return `# vipwire ${version}, ${plan.family}, ${node}: IPVS, what each tool is given\n${backend.print(backend.diff() ?? [])}`;
}
