/** The process_* metrics of Prometheus' own exporters, and the metrics of Node.js that help to explain a slow sync. */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import Counter from 'prom-client/lib/counter.js';
import Gauge from 'prom-client/lib/gauge.js';
import type Registry from 'prom-client/lib/registry.js';

/** Returns what the kernel counts for the process, or undefined when that cannot be read. */
export type ReadUsage = () =>
  | {
      readonly openFiles: number;
      readonly mostOpenFiles: number;
      readonly virtualBytes: number;
      readonly mostVirtualBytes: number;
    }
  | undefined;

/** Milliseconds between two samples of the event loop. */
const loopResolutionMs = 50;

/** All values are read at each scrape. Between scrapes only the timer that measures the event loop's lag runs. */
export function registerProcessMetrics(registry: Registry, readUsage: ReadUsage): void {
  const registers = [registry];
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the process, without its children',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  const startMs = Date.now() - process.uptime() * 1000;
  new Gauge({ name: 'process_start_time_seconds', help: 'When the process started', registers }).set(
    Math.round(startMs) / 1000,
  );
  const usage = { openFiles: 0, mostOpenFiles: 0, virtualBytes: 0, mostVirtualBytes: 0 };
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  };
  gauge('process_resident_memory_bytes', 'Resident memory of the process', () => process.memoryUsage.rss());
  // prom-client collects the gauges in the order of their names: the first one reads for all of them.
  gauge('process_max_fds', 'Limit of files that the process may have open', () => {
    Object.assign(usage, readUsage());
    return usage.mostOpenFiles;
  });
  gauge('process_open_fds', 'Files that the process has open', () => usage.openFiles);
  gauge('process_virtual_memory_bytes', 'Address space of the process', () => usage.virtualBytes);
  gauge('process_virtual_memory_max_bytes', 'Limit of the address space of the process', () => usage.mostVirtualBytes);
  new Gauge({
    name: 'vipwire_memory_bytes',
    help: 'Memory of Node.js: the heap, the part of the heap that is in use, and buffers outside the heap',
    labelNames: ['part'],
    registers,
    collect() {
      const { heapTotal, heapUsed, external } = process.memoryUsage();
      this.set({ part: 'heap' }, heapTotal);
      this.set({ part: 'heap_used' }, heapUsed);
      this.set({ part: 'external' }, external);
    },
  });
  registerLoopLag(registers);
}

/** Sampling costs 20 wake-ups per second, so it begins with the first scrape. */
function registerLoopLag(registers: Registry[]): void {
  let delay: IntervalHistogram | undefined;
  new Gauge({
    name: 'vipwire_event_loop_lag_seconds',
    help: 'How late timers were since the last scrape',
    labelNames: ['quantile'],
    registers,
    collect() {
      if (delay === undefined) {
        delay = monitorEventLoopDelay({ resolution: loopResolutionMs });
        delay.enable();
        return;
      }
      if (delay.count === 0) return;
      const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - loopResolutionMs / 1000);
      this.set({ quantile: '0.5' }, seconds(delay.percentile(50)));
      this.set({ quantile: '0.99' }, seconds(delay.percentile(99)));
      this.set({ quantile: '1' }, seconds(delay.max));
      delay.reset();
    },
  });
}
