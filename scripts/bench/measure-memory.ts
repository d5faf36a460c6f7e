/** Measures the resident memory some time after everything is in force. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Variant } from '../../src/xtables/variant';
import { ApiProcess, type Mode, nodePlace } from './api-process';
import { type Bench, startProxy } from './bench';
import type { ClusterSpec } from './cluster-objects';
import { type Figure, printMiB } from './figure';
import { flushRules } from './tool-alone';

/** It is long because a guest is slow. */
const startLimitMs = 300_000;

interface Memory {
  readonly residentBytes: number;
  readonly childrenPeakBytes: number;
}

export async function residentAfterRest(
  bench: Bench,
  spec: ClusterSpec,
  variant: Variant,
  mode: Mode,
): Promise<Memory> {
  const flush = (): Promise<void> => flushRules(bench.site, nodePlace(spec.network), variant);
  await flush();
  const api = await ApiProcess.start(bench.site, bench.apiBundle, spec, mode);
  const proxy = startProxy(bench, { spec, api, variant });
  await proxy.watchChildren(proxy.started(startLimitMs));
  await sleep(bench.sizes.restMs);
  const memory = { residentBytes: proxy.residentBytes(), childrenPeakBytes: proxy.childrenPeakBytes };
  await proxy.stop();
  await api.stop();
  await flush();
  return memory;
}

/** The megabytes of the targets are taken as 10^6 bytes, which is the stricter reading. */
export async function measureMemory(bench: Bench): Promise<Figure[]> {
  const clusters = [
    { spec: { network: 1, services: bench.sizes.largeServices, endpoints: 10 }, limitMB: 220 },
    { spec: { network: 2, services: 10, endpoints: 10 }, limitMB: 90 },
  ] as const;
  return Promise.all(
    clusters.map(async ({ spec, limitMB }): Promise<Figure> => {
      const { residentBytes, childrenPeakBytes } = await residentAfterRest(bench, spec, 'nft', 'iptables');
      return {
        what: `resident memory, ${spec.services} x ${spec.endpoints}, ${bench.sizes.restMs / 1000} s after the sync`,
        toReach: `<= ${limitMB} MB`,
        here: `${Math.round(residentBytes / 1e6)} MB (${printMiB(residentBytes)})`,
        beside: `peak of its child processes ${Math.round(childrenPeakBytes / 1e6)} MB`,
        ok: residentBytes <= limitMB * 1e6,
        raw: [residentBytes, childrenPeakBytes],
      };
    }),
  );
}
