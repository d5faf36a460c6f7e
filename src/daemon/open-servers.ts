/** The servers of the daemon, apart from those for the health ports of Services. */
import type { EffectiveConfiguration } from '../config/effective';
import { printConfiguration } from '../config/print';
import { systemClock } from '../host/clock';
import { answerCpuProfile } from '../servers/cpu-profile';
import { listServices } from '../planner/list-services';
import type { Plan } from '../planner/plan';
import { HealthzServer } from '../servers/healthz-server';
import { MetricsServer, type MetricsServerOptions } from '../servers/metrics-server';
import type { ProxyHealth } from '../servers/proxy-health';
import { sendJson } from '../servers/send';
import { statusPages } from '../servers/status-pages';
import { answerVerbosity } from '../servers/verbosity';
import { answerFlagz, answerStatusz } from '../servers/zpages';
import type { ClusterEvent } from '../sources/kubernetes/event-recorder';
import type { AdjustableLogger } from '../telemetry/logger';
import type { ProxyMetrics } from '../telemetry/metrics';
import type { OpenQuestions } from '../telemetry/open-questions';
import type { RuleWriter, StatusBoard } from '../telemetry/status-board';
import { parseKubernetesYaml } from '../yaml/parse-kubernetes-yaml';
import { version } from '../model/version';

/** The version of kube-proxy that this daemon replaces. */
const emulates = '1.36';

export interface Told {
  readonly health: ProxyHealth;
  readonly metrics: ProxyMetrics;
  readonly board: StatusBoard;
  readonly questions: OpenQuestions;
  /** kube-proxy's events. */
  readonly record: (event: ClusterEvent) => void;
  readonly nodeName: string;
  /** In force or on their way. */
  readonly plans: () => readonly Plan[];
  /** The name of the mode in force. */
  readonly modeName: () => string;
  readonly ruleWriter: () => RuleWriter;
}

export interface ServersOptions {
  /** The configuration that is in force when it is called. */
  readonly effective: () => EffectiveConfiguration;
  readonly flagTexts: Readonly<Record<string, string>>;
  /** Give up when a server cannot listen. */
  readonly hardFail: boolean;
}

/** Opens them where the present configuration says. */
export function openServers(
  { effective, flagTexts, hardFail }: ServersOptions,
  told: Told,
  log: AdjustableLogger,
): (HealthzServer | MetricsServer)[] {
  const { healthzBindAddress, metricsBindAddress } = effective().configuration;
  const { health, metrics, board, record, modeName, ruleWriter } = told;
  const shared = { hardFail, clock: systemClock, log };
  const onAnswer = (probe: 'healthz' | 'livez', code: '200' | '503'): void =>
    (probe === 'healthz' ? metrics.healthzTotal : metrics.livezTotal).inc({ code });
  const notReady = (): readonly string[] => board.notReady(ruleWriter());
  const failed = (reason: string) => (note: string) =>
    record({ type: 'Warning', reason, action: 'StartKubeProxy', note });
  const pages = { ...makePages(effective, flagTexts, log), ...makeStatusPages(told) };
  return [
    new MetricsServer({
      ...shared,
      address: metricsBindAddress,
      onFailure: failed('FailedToStartMetricServer'),
      metrics,
      mode: modeName,
      pages,
    }),
    ...(healthzBindAddress === undefined
      ? []
      : [
          new HealthzServer({
            ...shared,
            address: healthzBindAddress,
            onFailure: failed('FailedToStartProxierHealthcheck'),
            health,
            onAnswer,
            notReady,
          }),
        ]),
  ];
}

function makePages(
  effective: () => EffectiveConfiguration,
  flags: Readonly<Record<string, string>>,
  log: AdjustableLogger,
): NonNullable<MetricsServerOptions['pages']> {
  const profiling = effective().configuration.enableProfiling;
  const paths = ['/configz', '/flagz', '/healthz', '/metrics', '/proxyMode', '/statusz'];
  const component = {
    name: 'vipwire',
    version,
    emulates,
    startMs: Date.now() - process.uptime() * 1000,
    flags,
    paths: profiling ? [...paths, '/debug/cpuprofile'].sort() : paths,
  };
  return {
    '/configz': (_, response) => sendJson(response, 200, printConfigz(effective())),
    '/flagz': answerFlagz(component),
    '/statusz': answerStatusz(component),
    ...(profiling ? { '/debug/cpuprofile': answerCpuProfile(), '/debug/flags/v': answerVerbosity(log) } : {}),
  };
}

function makeStatusPages({
  health,
  board,
  nodeName,
  plans,
  modeName,
  ruleWriter,
}: Told): ReturnType<typeof statusPages> {
  return statusPages({
    status: () => {
      const { healthy } = health.health(systemClock.now());
      const facts = { version, node: nodeName, mode: modeName(), healthy, nodeEligible: health.nodeEligible() };
      return board.status(facts, ruleWriter());
    },
    services: (request) => listServices(plans(), request),
  });
}

/** The configuration in effect, under kube-proxy's name for it. */
function printConfigz({ settings, configuration, fromFile }: EffectiveConfiguration): string {
  const [document] = parseKubernetesYaml(printConfiguration(settings, configuration, fromFile)).documents;
  return JSON.stringify({ 'kubeproxy.config.k8s.io': document?.value });
}
