/** What the measurements of one run share: sizes, the site, and functions that start a proxy. */
import type { Variant } from '../../src/xtables/variant';
import { type ApiProcess, nodePlace } from './api-process';
import type { ClusterSpec } from './cluster-objects';
import { Proxy } from './proxy';
import type { Rules } from './rules';
import type { Site } from './site';
import { type Call, Recorder } from './tool-alone';

export interface Sizes {
  /** The number of Services of the cluster for latencies, with ten endpoints each. */
  readonly services: number;
  /** The number of Services of the largest cluster. */
  readonly largeServices: number;
  readonly bigService: number;
  readonly starts: number;
  readonly moves: number;
  readonly burstSlices: number;
  readonly restMs: number;
  readonly connects: number;
  /** The number of Services of the group `scale`, with five endpoints each. */
  readonly scaleServices: number;
}

export const fullSizes: Sizes = {
  services: 5000,
  largeServices: 10_000,
  bigService: 5000,
  starts: 3,
  moves: 50,
  burstSlices: 200,
  restMs: 30_000,
  connects: 3000,
  scaleServices: 50_000,
};

export const quickSizes: Sizes = {
  services: 300,
  largeServices: 600,
  bigService: 500,
  starts: 1,
  moves: 5,
  burstSlices: 20,
  restMs: 3000,
  connects: 500,
  scaleServices: 2000,
};

export interface Bench {
  readonly site: Site;
  readonly sizes: Sizes;
  /** dist/vipwire.cjs, or a copy of it. */
  readonly bundle: string;
  /** The API server's program. */
  readonly apiBundle: string;
  readonly say: (text: string) => void;
}

/** Slightly more than the configured minSyncPeriod. A change after such a quiet time is written at once. */
export const quietMs = 1100;

export interface RecordedCalls {
  readonly start: readonly Call[];
  /** The calls when the endpoint of the moving Service goes from its first pod to the second, and back. */
  readonly move: readonly Call[];
}

/** The node that a proxy works on. */
export interface BenchNode {
  /** What the API server holds. */
  readonly spec: ClusterSpec;
  readonly api: ApiProcess;
  readonly rules: Rules;
}

/** A node whose rules a tool writes. */
export type IptablesNode = BenchNode & { readonly rules: Variant };

/** Starts the proxy. @param path is a folder that is put in front of PATH. */
export function startProxy({ site, bundle }: Bench, { spec, api, rules }: BenchNode, path?: string): Proxy {
  const place = nodePlace(spec.network);
  return new Proxy({
    site,
    place,
    bundle,
    configFile: api.configFile,
    rules,
    ...(path === undefined ? {} : { path }),
  });
}

/** Starts the proxy, makes the changes, which must end where they began, and records every call of the tool. Nothing here is timed. */
export async function recordCalls(
  bench: Bench,
  node: IptablesNode,
  changes: readonly Parameters<ApiProcess['ask']>[0][],
): Promise<RecordedCalls> {
  const recorder = new Recorder(bench.site, node.rules);
  const proxy = startProxy(bench, node, recorder.path);
  await proxy.started();
  const start = recorder.calls();
  for (const change of changes) {
    await proxy.quiet(quietMs);
    const before = proxy.syncs.length;
    await node.api.ask(change);
    await proxy.sync(before);
  }
  await proxy.stop();
  return { start, move: recorder.calls(start) };
}
