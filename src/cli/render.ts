/** `vipwire render`: prints all rules once. It needs neither root nor the kernel, so it also runs on a laptop. */
import type { ProxyConfiguration } from '../config/configuration';
import { effectiveConfiguration } from '../config/effective';
import { readTextFile } from '../host/files';
import { planNode } from '../inspect/node-plan';
import type { Family } from '../model/address';
import { version } from '../model/version';
import { modes } from '../modes/modes';
import { sortedServices } from '../planner/describe';
import type { NodeSettings, Plan } from '../planner/plan';
import { createLogger } from '../telemetry/logger';
import type { RenderInvocation } from './invocation';
import { printSummary } from './summary';

export async function render(invocation: RenderInvocation): Promise<number> {
  const { configuration, warnings } = await effectiveConfiguration(invocation.flags, readTextFile);
  const log = createLogger(configuration.logging);
  for (const warning of warnings) log.warn(warning);
  const wanted = invocation.node || configuration.hostnameOverride;
  const { plans } = await planNode({ ...invocation, node: wanted }, configuration, log);
  // A family that no Service uses is left out.
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
  const { title, text } = modes[configuration.mode].printRules(plan, configuration);
  const node = plan.settings.nodeName === '' ? 'a node without pods' : `node ${plan.settings.nodeName}`;
  return `# vipwire ${version}, ${plan.family}, ${node}: ${title}\n${text}`;
}
