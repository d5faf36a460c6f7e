/** What the daemon listens on, apart from the health ports of Services. */
import type { ProxyConfiguration } from '../config/configuration';
import { systemClock } from '../host/clock';
import { HealthzServer } from '../servers/healthz-server';
import { MetricsServer } from '../servers/metrics-server';
import type { ProxyHealth } from '../servers/proxy-health';
import type { Logger } from '../telemetry/log';
import type { ProxyMetrics } from '../telemetry/metrics';
import type { StatusBoard } from '../telemetry/status-board';

export interface Told {
  readonly health: ProxyHealth;
  readonly metrics: ProxyMetrics;
  readonly board: StatusBoard;
}

export function openServers(
  configuration: ProxyConfiguration,
  { health, metrics, board }: Told,
  log: Logger,
): (HealthzServer | MetricsServer)[] {
  const { healthzBindAddress, metricsBindAddress, bindAddressHardFail: hardFail, mode } = configuration;
  const shared = { hardFail, clock: systemClock, log };
  const onAnswer = (probe: 'healthz' | 'livez', code: '200' | '503'): void =>
    (probe === 'healthz' ? metrics.healthzTotal : metrics.livezTotal).inc({ code });
  const notReady = (): readonly string[] => board.notReady();
  return [
    new MetricsServer({ ...shared, address: metricsBindAddress, metrics, mode }),
    ...(healthzBindAddress === undefined
      ? []
      : [new HealthzServer({ ...shared, address: healthzBindAddress, health, onAnswer, notReady })]),
  ];
}
