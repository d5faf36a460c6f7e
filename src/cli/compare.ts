/** A node's rules, whoever wrote them, against what vipwire would do for the same cluster. Touches nothing. */
import { comparePlan } from '../compare/compare-plan';
import { parseKernel } from '../compare/parse-kernel';
import { type ComparedNode, comparisonExitCode, comparisonJson, printComparison } from '../compare/print-comparison';
import type { ProxyConfiguration } from '../config/configuration';
import { effectiveConfiguration, type FlagSettings } from '../config/effective';
import { runCommand } from '../host/command';
import { readTextFile } from '../host/files';
import { hostName } from '../host/host-name';
import { readInterfaceAddresses } from '../host/interfaces';
import { UserError } from '../model/user-error';
import type { Logger } from '../telemetry/log';
import { createLogger } from '../telemetry/logger';
import type { TracedMode } from '../trace/kernel';
import type { CompareInvocation } from './command-line';
import { areGiven, readKernelFiles, readKernelHere } from './kernel-texts';
import { planNode } from './node-plan';

/** 0: the same, or different as is known and wanted. 1: different. 2: could not tell. */
export async function compare(invocation: CompareInvocation): Promise<number> {
  const isOffline = areGiven(invocation.kernelFiles);
  const quiet = createLogger({ verbosity: 0, format: 'text' });
  const { mode, texts } = isOffline
    ? await readKernelFiles(invocation.kernelFiles)
    : await readKernelHere(invocation.iptablesVariant, quiet);
  const { configuration, log } = await configure(invocation.flags, mode);
  const hostAddresses = await findAddresses(invocation, isOffline);
  const families = invocation.families.filter((family) => texts.has(family));
  if (families.length === 0) throw new UserError(`no rules of ${invocation.families.join(' or ')} were given`);
  const node = invocation.node || configuration.hostnameOverride || (isOffline ? '' : hostName());
  const request = { files: invocation.files, node, families, ...(hostAddresses && { hostAddresses }) };
  const { plans, nodeName } = await planNode(request, configuration, log);
  const compared = plans.flatMap((plan): ComparedNode[] => {
    const parsed = parseKernel(texts.get(plan.family) ?? {}, plan);
    if (parsed === undefined) return [];
    const { family } = plan;
    return [
      { family, nodeName, mode, hasRules: parsed.hasRules, comparison: comparePlan(plan, parsed.kernel, parsed) },
    ];
  });
  if (compared.length === 0) throw new UserError("no service proxy's rules: nft has no table kube-proxy");
  // A cluster of one family has nothing to say in the other.
  const used = compared.filter(({ comparison: { services, differences } }) => services + differences.length > 0);
  print(invocation, used.length > 0 ? used : compared.slice(0, 1));
  return comparisonExitCode(compared);
}

async function configure(
  flags: FlagSettings,
  mode: TracedMode,
): Promise<{ readonly configuration: ProxyConfiguration; readonly log: Logger }> {
  // The mode is what was found, whatever the configuration says; kube-proxy's own file may well say nftables.
  const settings = { ...flags.settings, mode: mode === 'ipvs' ? mode : 'iptables' };
  const { configuration, warnings } = await effectiveConfiguration({ ...flags, settings }, readTextFile);
  const log = createLogger(configuration.logging);
  for (const warning of warnings) log.debug(warning);
  if (mode !== 'nftables') return { configuration, log };
  const { nodePortAddresses: given } = configuration;
  // kube-proxy's defaults in that mode.
  const nodePortAddresses = given.length > 0 ? given : ['primary'];
  return { configuration: { ...configuration, nodePortAddresses, localhostNodePorts: false }, log };
}

async function findAddresses(
  { nodeAddresses }: CompareInvocation,
  isOffline: boolean,
): Promise<readonly string[] | undefined> {
  if (nodeAddresses.length > 0) return nodeAddresses;
  if (isOffline) return undefined;
  return (await readInterfaceAddresses(runCommand, 'kube-ipvs0')).map(({ address }) => address);
}

function print({ output }: CompareInvocation, nodes: readonly ComparedNode[]): void {
  const text =
    output === 'json'
      ? `${JSON.stringify(nodes.map(comparisonJson), null, 2)}\n`
      : nodes.map(printComparison).join('\n');
  process.stdout.write(text);
}
