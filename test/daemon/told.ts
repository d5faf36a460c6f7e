/** The telemetry of an agent, and what it told. */
import { modes } from '../../src/modes/modes';
import { AgentTelemetry, type AgentTelemetryOptions } from '../../src/daemon/agent-telemetry';
import { serviceKey } from '../../src/model/cluster';
import type { NodePortAddresses, ServicePlan } from '../../src/planner/plan';
import type { SyncReport } from '../../src/reconciler/sync-report';
import { ProxyHealth } from '../../src/servers/proxy-health';
import { createLogger } from '../../src/telemetry/logger';
import { StatusBoard } from '../../src/telemetry/status-board';
import { ProxyMetrics } from '../../src/telemetry/metrics';
import { FakeClock } from '../reconciler/fake-clock';
import { parseLogLine } from '../support/log-lines';
import { clusterIP, plan, service, servicePort } from '../support/plans';

export class Told {
  readonly clock = new FakeClock();
  readonly metrics = new ProxyMetrics('0');
  readonly health = new ProxyHealth(() => 60_000);
  readonly board = new StatusBoard(() => this.clock.now());
  readonly lines: Record<string, unknown>[] = [];
  readonly telemetry: AgentTelemetry;

  constructor(over: Partial<AgentTelemetryOptions> = {}) {
    this.telemetry = new AgentTelemetry({
      mode: modes.iptables,
      metrics: this.metrics,
      log: createLogger({ verbosity: 4, format: 'json' }, (line) => this.lines.push(parseLogLine(line))),
      clock: this.clock,
      health: this.health,
      board: this.board,
      openServiceHealth: undefined,
      ...over,
    });
  }

  synced(over: Partial<SyncReport>, nodePortAddresses?: NodePortAddresses): void {
    const report: SyncReport = {
      family: 'IPv4',
      reasons: new Set(),
      before: new Map(),
      after: new Map(),
      triggerTimesMs: [],
      written: { rules: { nat: 3, filter: 1, mangle: 0 }, tables: ['nat', 'filter'], bytes: 512, steps: 1 },
      ownMs: 2,
      kernelMs: 20,
      drifted: false,
      ...over,
    };
    const over6 = nodePortAddresses && { nodePortAddresses: { IPv4: nodePortAddresses, IPv6: nodePortAddresses } };
    const services = [...report.after.values()].flatMap((one) => one ?? []);
    this.telemetry.synced(report, plan('IPv4', services, over6 ?? {}), { nat: 30, filter: 10, mangle: 0 });
  }

  async metric(series: string): Promise<number | undefined> {
    const line = (await this.metrics.print('iptables')).split('\n').find((each) => each.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  }
}

export const key = serviceKey('default', 'web');
export function web(over: Partial<ServicePlan> = {}, noLocal = { internal: false, external: false }): ServicePlan {
  const port = servicePort('web', { frontends: [clusterIP('10.96.0.10')], noLocalEndpoints: noLocal });
  return { ...service([port]), endpointCount: 3, ...over };
}
