/** Measures the time from process start to rules in force, next to the tool alone on the same rules and on a plain rule set. */
import { nodePlace } from './api-process';
import { type Bench, type BenchNode, type IptablesNode, type RecordedCalls, startProxy } from './bench';
import { type Figure, median, printMs } from './figure';
import type { Proxy } from './proxy';
import { printReference } from './reference-text';
import { endpointsInForce, flushRules, titleOf } from './rules';
import { type Call, timeCalls } from './tool-alone';

const targets = { nft: 3, legacy: 4 } as const;
const referenceTarget = 1.3;

/** Measures the starts. The proxy of the last start is returned, and keeps running. */
export async function measureStart(
  bench: Bench,
  node: IptablesNode,
  { start: calls }: RecordedCalls,
): Promise<{ figures: Figure[]; proxy: Proxy }> {
  const { site, sizes } = bench;
  const { spec, rules: variant } = node;
  const place = nodePlace(spec.network);
  const reference = printReference(spec, variant === 'nft' ? 1000 : Number.POSITIVE_INFINITY);
  const here: number[] = [];
  const alone: number[] = [];
  const referenceAlone: number[] = [];
  let proxy: Proxy | undefined;
  for (let run = 0; run < sizes.starts; run++) {
    await proxy?.stop();
    alone.push(sum((await timeCalls(site, 'fresh', variant, calls)).callsMs));
    referenceAlone.push(sum((await timeCalls(site, 'fresh', variant, reference)).callsMs));
    await flushRules(site, place, variant);
    proxy = startProxy(bench, node);
    here.push(await proxy.started());
    bench.say(`start ${variant}: ${printMs(here.at(-1) ?? 0)}, tool alone ${printMs(alone.at(-1) ?? 0)}`);
  }
  if (proxy === undefined) throw new Error('there was no start to measure');
  await expectEndpoints(bench, node);
  const times: StartTimes = { here, alone, referenceAlone };
  return { proxy, figures: startFigures(node, times, calls, reference) };
}

/** Milliseconds, one value per start. */
interface StartTimes {
  readonly here: readonly number[];
  /** The tool alone, on the same rules. */
  readonly alone: readonly number[];
  /** The tool alone, on a plain rule set: scripts/bench/reference-text.ts. */
  readonly referenceAlone: readonly number[];
}

function startFigures(
  { spec, rules: variant }: IptablesNode,
  { here, alone, referenceAlone }: StartTimes,
  calls: readonly Call[],
  reference: readonly Call[],
): Figure[] {
  const size = `${spec.services} x ${spec.endpoints}`;
  const ratio = median(here) / median(alone);
  const referenceRatio = median(alone) / median(referenceAlone);
  const bytes = calls.reduce((total, { text }) => total + text.length, 0);
  return [
    {
      what: `${size}, process start to rules in force, iptables-${variant}`,
      toReach: `<= ${targets[variant]} x the tool alone`,
      here: printMs(median(here)),
      beside: `the tool alone ${printMs(median(alone))} (${calls.length} calls, ${(bytes / 1e6).toFixed(1)} MB)`,
      ratio,
      ok: ratio <= targets[variant],
      raw: here,
    },
    {
      what: `these rules loaded by the tool alone, iptables-${variant}`,
      toReach: variant === 'nft' ? `<= ${referenceTarget} x a plain rule set` : '',
      here: printMs(median(alone)),
      beside: `a plain rule set ${printMs(median(referenceAlone))} (${reference.length} calls)`,
      ratio: referenceRatio,
      ...(variant === 'nft' ? { ok: referenceRatio <= referenceTarget } : {}),
      raw: alone,
    },
  ];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Checks that the endpoints which the proxy reported as in force are in the kernel. */
export async function expectEndpoints({ site }: Bench, { spec, rules }: BenchNode): Promise<void> {
  const found = (await endpointsInForce(site, nodePlace(spec.network), rules)).length;
  const wanted = spec.services * spec.endpoints + 1;
  if (found !== wanted) throw new Error(`the kernel has ${found} endpoints instead of ${wanted} (${titleOf(rules)})`);
}
