/** The server of /healthz, /livez and /readyz, by default on port 10256. */
import type { RequestListener } from 'node:http';
import type { Clock } from '../host/clock';
import type { Logger } from '../telemetry/log';
import { type ListenAddress, PersistentServer, route } from './listener';
import type { ProxyHealth } from './proxy-health';
import { sendJson } from './send';

type Probe = 'healthz' | 'livez';

export interface HealthzServerOptions {
  readonly address: ListenAddress;
  readonly hardFail: boolean;
  readonly onFailure?: (message: string) => void;
  readonly health: ProxyHealth;
  /** Called at every answer, to count it. */
  readonly onAnswer: (probe: Probe, code: '200' | '503') => void;
  /** Returns why the rules for the present state of the cluster are not in force. Empty when they are. */
  readonly notReady: () => readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** Formats as RFC 3339 with nine decimals of a second. Returns Go's zero time for undefined. */
export function formatTime(ms: number | undefined): string {
  if (ms === undefined) return '0001-01-01T00:00:00Z';
  const whole = new Date(Math.floor(ms / 1000) * 1000).toISOString().slice(0, 19);
  const nanoseconds = Math.floor((ms - Math.floor(ms / 1000) * 1000) * 1e6);
  return `${whole}.${String(nanoseconds).padStart(9, '0')}Z`;
}

/** Returns the status code and the body of a probe, with the fields in kube-proxy's order. `healthy` does not depend on the node's eligibility. */
function printHealth(health: ProxyHealth, probe: Probe, clock: Clock): { code: 200 | 503; body: string } {
  const nowMs = clock.now();
  const epochMs = clock.epochMs();
  const print = (ms: number | undefined): string => formatTime(ms === undefined ? undefined : epochMs - (nowMs - ms));
  const { healthy, lastUpdatedMs, families } = health.health(nowMs);
  const nodeEligible = health.nodeEligible();
  const code = healthy && (probe === 'livez' || nodeEligible) ? 200 : 503;
  const status = Object.entries(families).map(([family, each]) => {
    return [family, { lastUpdated: print(each.lastUpdatedMs), healthy: each.healthy }] as const;
  });
  const body = {
    lastUpdated: print(code === 200 ? nowMs : lastUpdatedMs),
    currentTime: formatTime(epochMs),
    ...(probe === 'healthz' ? { nodeEligible } : {}),
    healthy,
    status: Object.fromEntries(status),
  };
  return { code, body: JSON.stringify(body) };
}

export class HealthzServer extends PersistentServer {
  constructor({ health, onAnswer, notReady, ...options }: HealthzServerOptions) {
    const answer =
      (probe: Probe): RequestListener =>
      (_, response) => {
        const { code, body } = printHealth(health, probe, options.clock);
        onAnswer(probe, `${code}`);
        sendJson(response, code, body);
      };
    // kube-proxy has no /readyz.
    const readyz: RequestListener = (_, response) => {
      const reasons = notReady();
      sendJson(response, reasons.length === 0 ? 200 : 503, JSON.stringify({ ready: reasons.length === 0, reasons }));
    };
    const answers = { '/healthz': answer('healthz'), '/livez': answer('livez'), '/readyz': readyz };
    super({ ...options, name: 'healthz', answer: route(answers) });
  }
}
