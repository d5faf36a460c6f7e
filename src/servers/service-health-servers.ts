/** The health check node ports of Services with externalTrafficPolicy Local: "has this node ready endpoints?" */
import type { RequestListener, Server } from 'node:http';
import type { Clock } from '../host/clock';
import { joinHostPort } from '../model/address';
import type { Family } from '../model/address';
import type { ServiceKey } from '../model/cluster';
import type { NodePortAddresses } from '../planner/plan';
import type { Logger } from '../telemetry/log';
import { close, listenOneFamily, retryAfterMs } from './listener';

export interface ServiceHealth {
  readonly namespace: string;
  readonly name: string;
  /** healthCheckNodePort. */
  readonly port: number;
  /** Distinct addresses of ready endpoints on this node. */
  readonly localEndpoints: number;
}

export interface ServiceHealthOptions {
  readonly family: Family;
  readonly addresses: NodePortAddresses;
  /** Rules follow the cluster; the node's eligibility does not count here. */
  readonly isProxyHealthy: () => boolean;
  /** A port cannot be opened: called once, not at every try. */
  readonly onFailure?: (service: ServiceHealth, message: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

interface OpenPort {
  readonly port: number;
  readonly servers: readonly Server[];
}

/** One family's servers, a port a Service, on the node-port addresses of that family alone. */
export class ServiceHealthServers {
  private services: ReadonlyMap<ServiceKey, ServiceHealth> = new Map();
  private readonly open = new Map<ServiceKey, OpenPort>();
  /** Ports that could not be opened, so that a repetition is no news. */
  private readonly failed = new Map<ServiceKey, number>();
  private work: Promise<void> = Promise.resolve();
  private readonly stopping = new AbortController();
  private isWaiting = false;

  constructor(private readonly options: ServiceHealthOptions) {}

  /**
   * Makes these the Services that are answered for: counts at once, ports by the time that the promise resolves. A port
   * that cannot be opened is logged, and tried again at the next call and every 5 s. Never rejects; calls may overlap, the last counts.
   */
  sync(services: ReadonlyMap<ServiceKey, ServiceHealth>): Promise<void> {
    if (this.stopping.signal.aborted) return this.work;
    this.services = services;
    this.work = this.work.then(() => this.openAndClose());
    return this.work;
  }

  stop(): Promise<void> {
    const done = this.sync(new Map());
    this.stopping.abort();
    return done;
  }

  /** Closing first: a port may go from one Service to another. */
  private async openAndClose(): Promise<void> {
    const { services } = this;
    const stale = [...this.open].filter(([key, { port }]) => services.get(key)?.port !== port);
    await Promise.all(stale.map(([key, { servers }]) => this.close(key, servers)));
    for (const key of this.failed.keys()) if (!services.has(key)) this.failed.delete(key);
    const missing = [...services].filter(([key]) => !this.open.has(key));
    await Promise.all(missing.map(([key, { port }]) => this.openPort(key, port)));
    if (this.failed.size > 0) void this.tryAgain();
  }

  /** Nothing tells of a port that is free again. */
  private async tryAgain(): Promise<void> {
    if (this.isWaiting || this.stopping.signal.aborted) return;
    this.isWaiting = true;
    await this.options.clock.sleep(retryAfterMs, this.stopping.signal);
    this.isWaiting = false;
    if (this.failed.size > 0) await this.sync(this.services);
  }

  private async close(key: ServiceKey, servers: readonly Server[]): Promise<void> {
    this.open.delete(key);
    await Promise.all(servers.map(close));
  }

  /** All addresses or none. */
  private async openPort(key: ServiceKey, port: number): Promise<void> {
    const answer = this.answerFor(key);
    const addresses = this.addresses();
    const tries = await Promise.allSettled(addresses.map((address) => listenOneFamily(answer, { address, port })));
    const servers = tries.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const reason = tries.find((each) => each.status === 'rejected')?.reason as Error | undefined;
    if (reason === undefined) {
      this.open.set(key, { port, servers });
      if (this.failed.delete(key)) this.options.log.info({ service: key, port }, 'the service health port is open now');
      return;
    }
    await Promise.all(servers.map(close));
    const isNews = this.failed.get(key) !== port;
    this.failed.set(key, port);
    const where = addresses.map((address) => joinHostPort(address, port)).join(', ');
    const message = `the service health port ${where} cannot be opened: ${reason.message}`;
    this.options.log[isNews ? 'warn' : 'debug']({ service: key }, message);
    const service = this.services.get(key);
    if (isNews && service !== undefined) this.options.onFailure?.(service, message);
  }

  private addresses(): readonly string[] {
    const { addresses, family } = this.options;
    if (addresses.kind === 'some') return addresses.addresses;
    return [family === 'IPv4' ? '0.0.0.0' : '::'];
  }

  /** Whatever the path and the method; 200 with nothing where the Service is gone but a connection is not yet. */
  private answerFor(key: ServiceKey): RequestListener {
    return (_, response) => {
      const service = this.services.get(key);
      if (service === undefined) {
        response.end();
        return;
      }
      const { namespace, name, localEndpoints } = service;
      const serviceProxyHealthy = this.options.isProxyHealthy();
      response.writeHead(localEndpoints > 0 && serviceProxyHealthy ? 200 : 503, {
        'Content-Type': 'application/json',
        'X-Content-Type-Options': 'nosniff',
        'X-Load-Balancing-Endpoint-Weight': String(localEndpoints),
      });
      response.end(
        JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy }, undefined, '\t'),
      );
    };
  }
}
