/** Prints the whole rule set once: without root, without a kernel, on a laptop. */
import { IptablesBackend } from '../backends/iptables/backend';
import { printListing } from '../backends/iptables/print-listing';
import type { ProxyConfiguration } from '../config/configuration';
import { effectiveConfiguration } from '../config/effective';
import { readTextFile } from '../host/files';
import type { Family } from '../model/address';
import { sortedServices } from '../planner/describe';
import type { NodeSettings, Plan } from '../planner/plan';
import { createLogger } from '../telemetry/logger';
import type { RenderInvocation } from './command-line';
import { version } from '../model/version';
import { usualSettings } from '../machine/iptables-settings';
import { dryIpvsBackend } from '../machine/ipvs-machine';
import { planNode } from '../inspect/node-plan';
import { noTables } from '../inspect/rendered-texts';
import { printSummary } from './summary';

export async function render(invocation: RenderInvocation): Promise<number> {
  const { configuration, warnings } = await effectiveConfiguration(invocation.flags, readTextFile);
  const log = createLogger(configuration.logging);
  for (const warning of warnings) log.warn(warning);
  const wanted = invocation.node || configuration.hostnameOverride;
  const { plans } = await planNode({ ...invocation, node: wanted }, configuration, log);
  // A cluster of one family has nothing to say in the other.
  const used = plans.filter((plan) => plan.services.size > 0);
  process.stdout.write(print(invocation, configuration, used.length > 0 ? used : plans.slice(0, 1)));
  return 0;
}

function print({ output }: RenderInvocation, configuration: ProxyConfiguration, plans: readonly Plan[]): string {
  if (output === 'json') return `${JSON.stringify(plans.map(printablePlan), null, 2)}\n`;
  if (output === 'summary') return plans.map((plan) => printSummary(plan)).join('\n');
  return plans.map((plan) => printRules(plan, configuration)).join('\n');
}

function printablePlan(plan: Plan): { family: Family; settings: NodeSettings; services: unknown[] } {
  return { family: plan.family, settings: plan.settings, services: sortedServices(plan) };
}

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
