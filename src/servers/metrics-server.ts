/** /metrics and /proxyMode, by default on 127.0.0.1:10249. */
import type { RequestListener, ServerResponse } from 'node:http';
import type { Clock } from '../host/clock';
import type { Logger } from '../telemetry/log';
import { PersistentServer, route } from './listener';
import type { ListenAddress } from './listener';

export interface MetricsServerOptions {
  readonly address: ListenAddress;
  readonly hardFail: boolean;
  readonly metrics: { readonly contentType: string; print(): Promise<string> };
  /** `iptables` */
  readonly mode: string;
  readonly clock: Clock;
  readonly log: Logger;
}

function answerText(text: string): RequestListener {
  return (_, response) => sendText(response, 200, text);
}

function sendText(response: ServerResponse, code: number, text: string): void {
  response.writeHead(code, { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' });
  response.end(text);
}

export class MetricsServer extends PersistentServer {
  constructor({ metrics, mode, ...options }: MetricsServerOptions) {
    const answerMetrics: RequestListener = (_, response) => {
      metrics.print().then(
        (text) => {
          response.writeHead(200, { 'Content-Type': metrics.contentType });
          response.end(text);
        },
        (error: unknown) => sendText(response, 500, `${String(error)}\n`),
      );
    };
    const answer = route({
      '/metrics': answerMetrics,
      '/proxyMode': answerText(mode),
      '/healthz': answerText('ok'),
    });
    super({ ...options, name: 'metrics', answer });
  }
}
