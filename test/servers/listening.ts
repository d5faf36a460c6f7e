/** What tests of servers need: ports of the kernel's choice, a clock that waits for nobody, a log to look at. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Clock } from '../../src/host/clock';
import type { Logger } from '../../src/telemetry/log';
import { createLogger } from '../../src/telemetry/logger';
import { type LogLine, parseLogLine } from '../support/log-lines';

export function occupy(port = 0, host?: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => resolve(server));
  });
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

export function release(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/** A port that is free now, in both families. */
export async function freePort(): Promise<number> {
  const server = await occupy();
  const port = portOf(server);
  await release(server);
  return port;
}

/** A client that asks and never comes to an end; resolves once it is connected. */
export function connectAndLinger(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n', () => resolve(socket)));
    socket.on('error', reject);
  });
}

/** Sleeps are kept until wake is called; time stands still otherwise. */
export class TestClock implements Clock {
  readonly sleeps: number[] = [];
  private wakers: (() => void)[] = [];
  constructor(private nowMs: number) {}

  now(): number {
    return this.nowMs;
  }

  epochMs(): number {
    return this.nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.sleeps.push(ms);
    return new Promise((resolve) => {
      this.wakers.push(resolve);
      signal?.addEventListener('abort', () => resolve());
    });
  }

  wake(): void {
    this.nowMs += this.sleeps.at(-1) ?? 0;
    for (const wake of this.wakers.splice(0)) wake();
  }
}

export function recordLog(): { readonly log: Logger; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const log = createLogger({ verbosity: 4, format: 'json' }, (line) => lines.push(parseLogLine(line)));
  return { log, lines };
}
