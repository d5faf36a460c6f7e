/** `vipwire diff`: compares vipwire's rules in the kernel with what they should be. Changes nothing. */
import type { ProxyConfiguration } from '../config/configuration';
import { diffExitCode, type KernelDiff } from '../diff/kernel-diff';
import { printDiff, printSummaryOfDiff } from '../diff/print-diff';
import { systemClock } from '../host/clock';
import { configureAs, nodeRequest, readKernel } from '../inspect/kernel-node';
import { areGiven, type ReadKernel } from '../inspect/kernel-texts';
import { followNode, type NodePlans, planNode } from '../inspect/node-plan';
import { UserError } from '../model/user-error';
import { findMode } from '../modes/modes';
import type { DiffInvocation } from './invocation';

const watchPeriodMs = 2000;

/** Returns 0 where everything is as it should be, and 1 where something differs. */
export async function diff(invocation: DiffInvocation): Promise<number> {
  const kernel = await readKernel(invocation);
  const { configuration, log } = await configureAs(kernel.kind, invocation.flags);
  const request = await nodeRequest(invocation, kernel.texts, configuration);
  if (!invocation.watch) {
    const diffs = await diffNode(invocation, kernel, configuration, await planNode(request, configuration, log));
    process.stdout.write(print(invocation, diffs));
    return diffExitCode(diffs);
  }
  const followed = await followNode(request, configuration, log);
  const look = async (): Promise<string> => {
    const now = await readKernel(invocation);
    const { hostAddresses } = await nodeRequest(invocation, kernel.texts, configuration);
    return print(invocation, await diffNode(invocation, now, configuration, followed.plan(hostAddresses)));
  };
  for (let last = ''; ; ) {
    const text = await look().catch(explain);
    if (text !== last) process.stdout.write(`${new Date().toISOString()}\n${text}\n`);
    last = text;
    await systemClock.sleep(watchPeriodMs, new AbortController().signal);
  }
}

/** With --watch, an error such as rules that are all gone is printed, and the watch goes on. */
function explain(error: unknown): string {
  if (error instanceof UserError) return `${error.message}\n`;
  throw error;
}

async function diffNode(
  invocation: DiffInvocation,
  { kind: { mode }, texts }: ReadKernel,
  configuration: ProxyConfiguration,
  { plans, nodeName }: NodePlans,
): Promise<readonly KernelDiff[]> {
  const found = findMode(mode);
  if (found === undefined) throw new UserError(`vipwire has no ${mode} mode yet: vipwire compare reads these rules`);
  const isOffline = areGiven(invocation.kernelFiles);
  const diffs: KernelDiff[] = [];
  for (const plan of plans)
    diffs.push(await found.diff({ plan, texts: texts.get(plan.family) ?? {}, configuration, nodeName, isOffline }));
  // A family that no Service uses is left out.
  const used = diffs.filter(({ services, differences }) => services + differences.length > 0);
  return used.length > 0 ? used : diffs.slice(0, 1);
}

function print({ output }: DiffInvocation, diffs: readonly KernelDiff[]): string {
  if (output === 'json') return `${JSON.stringify(diffs, null, 2)}\n`;
  return diffs.map(output === 'summary' ? printSummaryOfDiff : printDiff).join('\n');
}
