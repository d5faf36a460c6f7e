/** `vipwire compare`: compares a node's rules, whoever wrote them, with what vipwire would do for the same cluster. Changes nothing. */
import { comparePlan } from '../compare/compare-plan';
import { parseKernel } from '../compare/parse-kernel';
import { type ComparedNode, comparisonExitCode, comparisonJson, printComparison } from '../compare/print-comparison';
import { configureAs, nodeRequest, readKernel } from '../inspect/kernel-node';
import { planNode } from '../inspect/node-plan';
import { UserError } from '../model/user-error';
import type { CompareInvocation } from './invocation';

/** Returns 0 where they are the same or differ only as intended, 1 where they differ, and 2 where it could not tell. */
export async function compare(invocation: CompareInvocation): Promise<number> {
  const { kind, texts } = await readKernel(invocation);
  const { configuration, log } = await configureAs(kind, invocation.flags);
  const request = await nodeRequest(invocation, texts, configuration);
  const { plans, nodeName, hostAddresses } = await planNode(request, configuration, log);
  const { excludeCIDRs } = configuration.ipvs;
  const compared = plans.flatMap((plan): ComparedNode[] => {
    const parsed = parseKernel(texts.get(plan.family) ?? {}, plan, hostAddresses);
    if (parsed === undefined) return [];
    const { family } = plan;
    return [
      {
        family,
        nodeName,
        mode: kind.mode,
        hasRules: parsed.hasRules,
        unread: texts.get(family)?.unread ?? [],
        comparison: comparePlan(plan, parsed.kernel, { ...parsed, excludeCIDRs }),
      },
    ];
  });
  if (compared.length === 0) throw new UserError("no service proxy's rules: nft has no table kube-proxy");
  // A family that no Service uses is left out.
  const used = compared.filter(({ comparison: { services, differences } }) => services + differences.length > 0);
  print(invocation, used.length > 0 ? used : compared.slice(0, 1));
  return comparisonExitCode(compared);
}

function print({ output }: CompareInvocation, nodes: readonly ComparedNode[]): void {
  const text =
    output === 'json'
      ? `${JSON.stringify(nodes.map(comparisonJson), null, 2)}\n`
      : nodes.map(printComparison).join('\n');
  process.stdout.write(text);
}
