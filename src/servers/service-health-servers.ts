/** The health check node ports of Services with externalTrafficPolicy Local, which tell whether this node has ready endpoints. */
import type { RequestListener, Server } from 'node:http';
import type { Clock } from '../host/clock';
import { type Family, joinHostPort } from '../model/address';
import type { ServiceKey } from '../model/cluster';
import { messageOf } from '../model/error-message';
import type { NodePortAddresses } from '../planner/plan';
import type { Logger } from '../telemetry/log';
import { close, listenOneFamily, retryAfterMs } from './listener';

export interface ServiceHealth {
  readonly namespace: string;
  readonly name: string;
  /** The Service's healthCheckNodePort. */
  readonly port: number;
  /** Number of distinct addresses of ready endpoints on this node. */
  readonly localEndpoints: number;
}

export interface ServiceHealthOptions {
  readonly family: Family;
  readonly addresses: NodePortAddresses;
  /** Whether the rules follow the cluster. The node's eligibility does not count here. */
  readonly isProxyHealthy: () => boolean;
  /** Called once when a port cannot be opened, not at every attempt. */
  readonly onFailure?: (service: ServiceHealth, message: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

interface OpenPort {
  readonly port: number;
  readonly servers: readonly Server[];
}

/** The servers of one family, one port per Service, on the node-port addresses of that family only. */
export class ServiceHealthServers {
  #services: ReadonlyMap<ServiceKey, ServiceHealth> = new Map();
  readonly #open = new Map<ServiceKey, OpenPort>();
  /** The ports that could not be opened, to report each failure only once. */
  readonly #failed = new Map<ServiceKey, number>();
  #work: Promise<void> = Promise.resolve();
  readonly #stopping = new AbortController();
  #isWaiting = false;
  readonly #options: ServiceHealthOptions;

  constructor(options: ServiceHealthOptions) {
    this.#options = options;
  }

  /**
   * Sets the Services to answer for. Their counts are in effect at once, their ports when the promise resolves. A port that cannot be
   * opened is logged, and tried again at the next call and every 5 s. Never rejects. Calls may overlap: the last one counts.
   */
  sync(services: ReadonlyMap<ServiceKey, ServiceHealth>): Promise<void> {
    if (this.#stopping.signal.aborted) return this.#work;
    this.#services = services;
    this.#work = this.#work.then(() => this.#openAndClose());
    return this.#work;
  }

  stop(): Promise<void> {
    const done = this.sync(new Map());
    this.#stopping.abort();
    return done;
  }

  /** Closes first, because a port may move from one Service to another. */
  async #openAndClose(): Promise<void> {
    const services = this.#services;
    const stale = [...this.#open].filter(([key, { port }]) => services.get(key)?.port !== port);
    await Promise.all(stale.map(([key, { servers }]) => this.#close(key, servers)));
    for (const key of this.#failed.keys()) if (!services.has(key)) this.#failed.delete(key);
    const missing = [...services].filter(([key]) => !this.#open.has(key));
    await Promise.all(missing.map(([key, { port }]) => this.#openPort(key, port)));
    if (this.#failed.size > 0) void this.#tryAgain();
  }

  /** Tries again after a while, because nothing tells when a port has become free. */
  async #tryAgain(): Promise<void> {
    if (this.#isWaiting || this.#stopping.signal.aborted) return;
    this.#isWaiting = true;
    await this.#options.clock.sleep(retryAfterMs, this.#stopping.signal);
    this.#isWaiting = false;
    if (this.#failed.size > 0) await this.sync(this.#services);
  }

  async #close(key: ServiceKey, servers: readonly Server[]): Promise<void> {
    this.#open.delete(key);
    await Promise.all(servers.map(close));
  }

  /** Opens the port on all addresses, or on none. */
  async #openPort(key: ServiceKey, port: number): Promise<void> {
    const answer = this.#answerFor(key);
    const addresses = this.#addresses();
    const tries = await Promise.allSettled(addresses.map((address) => listenOneFamily(answer, { address, port })));
    const servers = tries.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const failure = tries.find((each) => each.status === 'rejected');
    if (failure === undefined) {
      this.#open.set(key, { port, servers });
      if (this.#failed.delete(key))
        this.#options.log.info({ service: key, port }, 'the service health port is open now');
      return;
    }
    await Promise.all(servers.map(close));
    const isNews = this.#failed.get(key) !== port;
    this.#failed.set(key, port);
    const where = addresses.map((address) => joinHostPort(address, port)).join(', ');
    const message = `the service health port ${where} cannot be opened: ${messageOf(failure.reason)}`;
    this.#options.log[isNews ? 'warn' : 'debug']({ service: key }, message);
    const service = this.#services.get(key);
    if (isNews && service !== undefined) this.#options.onFailure?.(service, message);
  }

  #addresses(): readonly string[] {
    const { addresses, family } = this.#options;
    if (addresses.kind === 'some') return addresses.addresses;
    return [family === 'IPv4' ? '0.0.0.0' : '::'];
  }

  /** Answers every path and method. A connection that outlives its Service gets an empty 200. */
  #answerFor(key: ServiceKey): RequestListener {
    return (_, response) => {
      const service = this.#services.get(key);
      if (service === undefined) {
        response.end();
        return;
      }
      const { namespace, name, localEndpoints } = service;
      const serviceProxyHealthy = this.#options.isProxyHealthy();
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
