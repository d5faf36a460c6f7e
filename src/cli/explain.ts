/** `vipwire explain`: says where a connection goes and why, by the cluster and by the rules. Changes nothing. */
import { type KernelTexts, parseKernel, printUnread } from '../compare/parse-kernel';
import type { ProxyConfiguration } from '../config/configuration';
import { effectiveConfiguration } from '../config/effective';
import { explainConnection, type ExplainScope } from '../explain/explain-connection';
import { explainPod, explainService } from '../explain/explain-service';
import { printExplanation, printPod, printWaysIn } from '../explain/print-explanation';
import { familyOfTarget, nodeOfClient, parseClient, parseTarget, podNames, unknownName } from '../explain/question';
import { readTextFile } from '../host/files';
import { configureAs, nodeRequest, readKernel } from '../inspect/kernel-node';
import { areGiven, type ReadKernel } from '../inspect/kernel-texts';
import { type NodePlans, planNode } from '../inspect/node-plan';
import { type Family, familyOf } from '../model/address';
import { type ClusterState, serviceKey } from '../model/cluster';
import { UserError } from '../model/user-error';
import { modes } from '../modes/modes';
import type { Plan } from '../planner/plan';
import type { Logger } from '../telemetry/log';
import { createLogger } from '../telemetry/logger';
import type { ExplainInvocation } from './invocation';

/** The answer about a connection, a Service or a pod. */
type Answer = { readonly text: string; readonly json: object; readonly isServed: boolean };

/** Returns 0 where it is served, and 1 where it is not. */
export async function explain(given: ExplainInvocation): Promise<number> {
  const family = familyOfTarget(given.question.to);
  const invocation = family === undefined ? given : { ...given, families: [family] };
  const kernel = await findKernel(invocation);
  const { configuration, log } = await configure(invocation, kernel);
  const node =
    kernel === undefined
      ? renderedRequest(invocation, configuration)
      : nodeRequest(invocation, kernel.texts, configuration);
  const plans = await planNode(await node, configuration, log);
  const scopes = plans.plans.flatMap((plan) => {
    const texts =
      kernel?.texts.get(plan.family) ??
      (kernel === undefined ? modes[configuration.mode].renderTexts(plan, configuration) : undefined);
    return texts === undefined ? [] : scopeOf(plan, plans, texts);
  });
  const { text, json, isServed } = answer(invocation, plans.cluster, scopes);
  const unread = plans.plans.flatMap(({ family: of }) =>
    (kernel?.texts.get(of)?.unread ?? []).map((one) => ({ family: of, ...one })),
  );
  const notes = unread.map((one) => `note: ${printUnread(one.family, one)}\n`);
  const told = unread.length > 0 && !Array.isArray(json) ? { ...json, unread } : json;
  if (invocation.output === 'json' && Array.isArray(json)) process.stderr.write(notes.join(''));
  process.stdout.write(invocation.output === 'json' ? `${JSON.stringify(told, null, 2)}\n` : [text, ...notes].join(''));
  return isServed ? 0 : 1;
}

/** Returns undefined where the question is about the rules that vipwire would write. */
async function findKernel(invocation: ExplainInvocation): Promise<ReadKernel | undefined> {
  if (!areGiven(invocation.kernelFiles) && invocation.files.length > 0) return undefined;
  try {
    return await readKernel(invocation);
  } catch (error) {
    if (!(error instanceof UserError) || areGiven(invocation.kernelFiles)) throw error;
    process.stderr.write(`vipwire: ${error.message}; these are the rules that vipwire would write\n`);
    return undefined;
  }
}

async function configure(
  { flags }: ExplainInvocation,
  kernel: ReadKernel | undefined,
): Promise<{ readonly configuration: ProxyConfiguration; readonly log: Logger }> {
  if (kernel !== undefined) return configureAs(kernel.kind, flags);
  const { configuration, warnings } = await effectiveConfiguration(flags, readTextFile);
  const log = createLogger(configuration.logging);
  for (const warning of warnings) log.debug(warning);
  return { configuration, log };
}

function renderedRequest(
  { files, node, families, nodeAddresses, question }: ExplainInvocation,
  { hostnameOverride }: ProxyConfiguration,
): Parameters<typeof planNode>[0] {
  return {
    files,
    node: node || hostnameOverride,
    nodeOf: (cluster) => nodeOfClient(question.from, cluster),
    families,
    ...(nodeAddresses.length > 0 && { hostAddresses: nodeAddresses }),
  };
}

function scopeOf(plan: Plan, { cluster, hostAddresses }: NodePlans, texts: KernelTexts): ExplainScope[] {
  const parsed = parseKernel(texts, plan, hostAddresses);
  return parsed === undefined ? [] : [{ cluster, plan, kernel: parsed.kernel, nodeAddresses: parsed.nodeAddresses }];
}

function answer({ question }: ExplainInvocation, cluster: ClusterState, scopes: readonly ExplainScope[]): Answer {
  if (question.to === '')
    return question.from.startsWith('pod/')
      ? answerPod(question.from.slice(4), cluster, scopes)
      : answerService(question.from.slice(4), cluster, scopes);
  const target = parseTarget(question.to, cluster);
  const scope = scopeFor(familyOf(target.address), scopes);
  const client = parseClient(question.from, familyOf(target.address), cluster, scope.plan.settings);
  const explanation = explainConnection(client, target, scope);
  const isServed = explanation.outcome === 'forwarded' && explanation.disagreement === '';
  return { text: printExplanation(explanation), json: explanation, isServed };
}

function scopeFor(family: Family, scopes: readonly ExplainScope[]): ExplainScope {
  const scope = scopes.find(({ plan }) => plan.family === family);
  if (scope === undefined) throw new UserError(`no rules of ${family} were given`);
  return scope;
}

function answerService(name: string, cluster: ClusterState, scopes: readonly ExplainScope[]): Answer {
  const [namespace = '', rest = ''] = name.split('/');
  const service = cluster.services.get(serviceKey(namespace, rest));
  if (service === undefined) throw unknownName('Service', name, cluster.services.keys());
  const ways = scopes.flatMap((scope) => explainService(service, scope));
  if (service.notProxied !== undefined)
    return { text: `${name} is not proxied: ${service.notProxied}\n`, json: [], isServed: false };
  const isServed = ways.every(({ explanation }) => explanation.outcome === 'forwarded');
  return { text: printWaysIn(ways), json: ways, isServed };
}

function answerPod(name: string, cluster: ClusterState, scopes: readonly ExplainScope[]): Answer {
  const rows = scopes.flatMap((scope) => explainPod(name, scope));
  if (rows.length === 0) throw unknownName('pod behind a Service of the name', name, podNames(cluster));
  return { text: printPod(name, rows), json: rows, isServed: rows.some(({ why }) => why === '') };
}
