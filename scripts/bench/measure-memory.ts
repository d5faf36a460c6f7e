/** Measures the resident memory some time after everything is in force. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProcess, type Mode, nodePlace } from './api-process';
import { type Bench, startProxy } from './bench';
import type { ClusterSpec } from './cluster-objects';
import { type Figure, printMiB } from './figure';
import { flushRules, modeOf, type Rules, titleOf } from './rules';

/** It is long because a guest is slow. */
const startLimitMs = 300_000;

interface Memory {
  readonly residentBytes: number;
  readonly childrenPeakBytes: number;
}

export async function residentAfterRest(bench: Bench, spec: ClusterSpec, rules: Rules, mode: Mode): Promise<Memory> {
  const flush = (): Promise<void> => flushRules(bench.site, nodePlace(spec.network), rules);
  await flush();
  const api = await ApiProcess.start(bench.site, bench.apiBundle, spec, mode);
  const proxy = startProxy(bench, { spec, api, rules });
  await proxy.watchChildren(proxy.started(startLimitMs));
  await sleep(bench.sizes.restMs);
  const memory = { residentBytes: proxy.residentBytes(), childrenPeakBytes: proxy.childrenPeakBytes };
  await proxy.stop();
  await api.stop();
  await flush();
  return memory;
}

interface MemoryTarget {
  readonly spec: ClusterSpec;
  readonly limitMB: number;
}

/** The megabytes of the targets are taken as 10^6 bytes, which is the stricter reading. */
export async function measureMemory(bench: Bench, rules: Rules, clusters: readonly MemoryTarget[]): Promise<Figure[]> {
  return Promise.all(
    clusters.map(async ({ spec, limitMB }): Promise<Figure> => {
      const { residentBytes, childrenPeakBytes } = await residentAfterRest(bench, spec, rules, modeOf(rules));
      const size = `${spec.services} x ${spec.endpoints}`;
      return {
        what: `resident memory, ${size}, ${bench.sizes.restMs / 1000} s after the sync, ${titleOf(rules)}`,
        toReach: `<= ${limitMB} MB`,
        here: `${Math.round(residentBytes / 1e6)} MB (${printMiB(residentBytes)})`,
        beside: `peak of its child processes ${Math.round(childrenPeakBytes / 1e6)} MB`,
        ok: residentBytes <= limitMB * 1e6,
        raw: [residentBytes, childrenPeakBytes],
      };
    }),
  );
}
