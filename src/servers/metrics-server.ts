/** The server of /metrics, /proxyMode and further pages about the process, by default on 127.0.0.1:10249. */
import type { RequestListener } from 'node:http';
import type { Clock } from '../host/clock';
import type { Logger } from '../telemetry/log';
import { type ListenAddress, PersistentServer, route } from './listener';
import { sendText } from './send';

export interface MetricsServerOptions {
  readonly address: ListenAddress;
  readonly hardFail: boolean;
  readonly onFailure?: (message: string) => void;
  readonly metrics: { readonly contentType: string; print(mode: string): Promise<string> };
  /** Returns the mode in force, such as `iptables`. */
  readonly mode: () => string;
  /** Further pages, by path. */
  readonly pages?: Readonly<Record<string, RequestListener>>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Limit of answers in progress. On a large cluster each takes megabytes until its client has received it, however slowly. */
const mostScrapes = 16;

export class MetricsServer extends PersistentServer {
  constructor({ metrics, mode, pages = {}, ...options }: MetricsServerOptions) {
    let pings = 0;
    let scrapes = 0;
    const answerMetrics: RequestListener = (_, response) => {
      if (scrapes >= mostScrapes) {
        sendText(response, 503, `${scrapes} clients are receiving the metrics at the moment: try again\n`);
        return;
      }
      scrapes++;
      response.on('close', () => scrapes--);
      metrics.print(mode()).then(
        (text) => {
          response.writeHead(200, { 'Content-Type': metrics.contentType });
          response.end(text);
        },
        (error: unknown) => sendText(response, 500, `${String(error)}\n`),
      );
    };
    const answer = route({
      ...pages,
      '/metrics': answerMetrics,
      '/metrics/slis': (_, response) => {
        response.writeHead(200, { 'Content-Type': metrics.contentType });
        response.end(printChecks(pings));
      },
      '/proxyMode': (_, response) => sendText(response, 200, mode()),
      '/healthz': (_, response) => {
        pings++;
        sendText(response, 200, 'ok');
      },
    });
    super({ ...options, name: 'metrics', answer });
  }
}

/** Kubernetes' indicators of a component's health checks. This port has one check, which appears after its first request. */
function printChecks(pings: number): string {
  if (pings === 0) return '';
  return `# HELP kubernetes_healthcheck Result of the last check
# TYPE kubernetes_healthcheck gauge
kubernetes_healthcheck{name="ping",type="healthz"} 1
# HELP kubernetes_healthchecks_total Checks
# TYPE kubernetes_healthchecks_total counter
kubernetes_healthchecks_total{name="ping",status="success",type="healthz"} ${pings}
`;
}
