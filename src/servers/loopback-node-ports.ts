/**
 * NodePorts of TCP on ::1. The kernel does not route packets with that source, so that DNAT cannot send them to a pod; a connection
 * is accepted here and relayed. kube-proxy 1.37 does the same (KEP-6032).
 */
import type { Server, Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../host/clock';
import { joinHostPort } from '../model/address';
import type { ServiceKey } from '../model/cluster';
import { messageOf } from '../model/error-message';
import { Claims } from '../planner/claims';
import { drawEndpoint, type LoopbackPort, loopbackPorts } from '../planner/loopback-ports';
import { type Plan, type PlanEndpoint, takesNew } from '../planner/plan';
import type { Logger } from '../telemetry/log';
import type { ProxyMetrics } from '../telemetry/metrics';
import { listenTcp, mostOpenFiles, retryAfterMs } from './listener';
import { type RelayLimits, relayLimitsFor, TcpRelay } from './tcp-relay';

export interface LoopbackNodePortsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<ProxyMetrics, 'loopbackListeners' | 'loopbackListenerFailures' | 'loopbackConnections'>;
  /** Default: those for the files that the process may have open. */
  readonly limits?: RelayLimits;
}

/** What is known of a port that should be open. */
interface Wanted {
  server?: Server;
  /** The endpoint that the node, which is the only client here, was last sent to. */
  last?: { readonly endpoint: string; readonly service: string; readonly atMs: number };
}

const address = '::1';
const labels = { ip_family: 'IPv6' } as const;
/** The failure of all ports, in #told. */
const ofAll = 'all';
/** How many ports are opened in one turn of the event loop. */
const atOnce = 32;

export class LoopbackNodePorts {
  readonly #options: LoopbackNodePortsOptions;
  readonly #relay: TcpRelay;
  /** What each Service has at present. Services without such ports are left out. */
  readonly #services = new Map<ServiceKey, readonly LoopbackPort[]>();
  readonly #wanted = new Map<number, Wanted>();
  /** Which Service gets the connections to a port. */
  readonly #claims = new Claims();
  /** Ports of #wanted that are not open. */
  readonly #missing = new Set<number>();
  /** Ports that may have to be closed. */
  readonly #unclaimed = new Set<number>();
  readonly #stopping = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #phase: 'off' | 'on' = 'off';
  #isWaiting = false;
  #wasLimited = false;
  #openPorts = 0;
  /** Failures that were logged: of one port, or of all. */
  readonly #told = new Set<string>();

  constructor(options: LoopbackNodePortsOptions) {
    this.#options = options;
    this.#relay = new TcpRelay(options.limits ?? relayLimitsFor(mostOpenFiles));
  }

  /**
   * Takes up a Plan that is in force. Endpoints are in effect at once, and ports when the promise resolves. It never rejects: a port
   * that cannot be opened is logged and counted, and tried again every 5 s. Connections that are established stay.
   *
   * @param changed the Services that differ from the last Plan, or undefined where that is not known.
   */
  follow({ family, settings, services }: Plan, changed?: Iterable<ServiceKey>): Promise<void> {
    if (family !== 'IPv6' || this.#stopping.signal.aborted) return this.#work;
    const phase = settings.localhostNodePortsIPv6 === true ? 'on' : 'off';
    if (phase === 'off' && this.#phase === 'off') return this.#work;
    const isAnew = changed === undefined || phase !== this.#phase;
    this.#phase = phase;
    for (const key of isAnew ? new Set([...this.#services.keys(), ...services.keys()]) : changed) {
      const service = phase === 'on' ? services.get(key) : undefined;
      this.#set(key, service === undefined ? [] : loopbackPorts(service));
    }
    this.#closeUnclaimed();
    if (this.#missing.size > 0) this.#work = this.#work.then(() => this.#openMissing());
    return this.#work;
  }

  /** Closes the ports and resets every connection. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const key of [...this.#services.keys()]) this.#set(key, []);
    this.#closeUnclaimed();
    this.#relay.stop();
    await this.#work;
  }

  #set(key: ServiceKey, now: readonly LoopbackPort[]): void {
    for (const { port } of this.#services.get(key) ?? []) {
      this.#claims.remove(`${port}`, key);
      this.#unclaimed.add(port);
    }
    if (now.length > 0) this.#services.set(key, now);
    else this.#services.delete(key);
    for (const { port } of now) {
      this.#claims.add(`${port}`, key);
      if (this.#wanted.has(port)) continue;
      this.#wanted.set(port, {});
      this.#missing.add(port);
    }
  }

  #claimOf(port: number): LoopbackPort | undefined {
    const owner = this.#claims.ownerOf(`${port}`);
    return owner && this.#services.get(owner)?.find((each) => each.port === port);
  }

  /** After all changes, since a port may move from one Service to another. A port is free at once; its connections end by themselves. */
  #closeUnclaimed(): void {
    for (const port of this.#unclaimed) {
      const wanted = this.#wanted.get(port);
      if (wanted === undefined || this.#claims.ownerOf(`${port}`) !== undefined) continue;
      if (wanted.server !== undefined) this.#openPorts--;
      wanted.server?.close();
      this.#wanted.delete(port);
      this.#missing.delete(port);
      this.#told.delete(ofPort(port));
    }
    this.#unclaimed.clear();
    this.#options.metrics.loopbackListeners.set(labels, this.#openPorts);
  }

  async #openMissing(): Promise<void> {
    let tried = 0;
    for (const port of [...this.#missing]) {
      if (++tried % atOnce === 0) await setImmediate();
      const wanted = this.#wanted.get(port);
      if (wanted !== undefined && this.#missing.has(port)) await this.#open(port, wanted);
    }
    this.#options.metrics.loopbackListeners.set(labels, this.#openPorts);
    if (this.#missing.size > 0) void this.#tryAgain();
  }

  async #open(port: number, wanted: Wanted): Promise<void> {
    try {
      const server = await listenTcp((client) => this.#serve(client, port, wanted), { address, port });
      // It may have been given up meanwhile, also in favour of another one with the same number.
      if (this.#wanted.get(port) !== wanted) {
        server.close();
        return;
      }
      wanted.server = server;
      this.#openPorts++;
      this.#missing.delete(port);
      this.#opened(port);
    } catch (error) {
      this.#failed(port, error);
    }
  }

  #opened(port: number): void {
    const { log } = this.#options;
    if (this.#told.delete(ofAll)) log.info('NodePorts can be served on ::1 now');
    if (this.#told.delete(ofPort(port)))
      log.info({ service: this.#claimOf(port)?.name, port }, 'the NodePort is served on ::1 now');
  }

  /** Warns once about a port that somebody else has, and once about what keeps every port from being opened. */
  #failed(port: number, error: unknown): void {
    const { log, metrics } = this.#options;
    metrics.loopbackListenerFailures.inc(labels);
    const what = isTaken(error) ? ofPort(port) : ofAll;
    const level = this.#told.has(what) ? 'debug' : 'warn';
    this.#told.add(what);
    log[level](
      { service: this.#claimOf(port)?.name, retryMs: retryAfterMs },
      `the NodePort ${joinHostPort(address, port)} cannot be served: ${messageOf(error)}`,
    );
  }

  /** Tries again after a while, because nothing tells when a port has become free. */
  async #tryAgain(): Promise<void> {
    if (this.#isWaiting || this.#stopping.signal.aborted) return;
    this.#isWaiting = true;
    await this.#options.clock.sleep(retryAfterMs, this.#stopping.signal);
    this.#isWaiting = false;
    this.#work = this.#work.then(() => this.#openMissing());
  }

  #serve(client: Socket, port: number, wanted: Wanted): void {
    let claim: LoopbackPort | undefined;
    const next = (tried: ReadonlySet<PlanEndpoint>): PlanEndpoint | undefined => {
      claim = this.#claimOf(port);
      if (claim === undefined) return undefined;
      return this.#remembered(wanted, claim, tried) ?? drawEndpoint(claim.endpoints, tried, Math.random());
    };
    void this.#relay.serve(client, next).then(({ result, endpoint }) => {
      const { log, metrics } = this.#options;
      metrics.loopbackConnections.inc({ ...labels, result });
      if (claim !== undefined && endpoint !== undefined) this.#remember(wanted, claim, endpoint);
      if (result === 'unanswered') log.debug({ service: claim?.name }, 'no endpoint accepted a connection from ::1');
      this.#tellLimit(result === 'limited');
    });
  }

  /** Session affinity. As in the rules, every connection renews it. */
  #remembered({ last }: Wanted, claim: LoopbackPort, tried: ReadonlySet<PlanEndpoint>): PlanEndpoint | undefined {
    if (last?.service !== claim.name || this.#options.clock.now() - last.atMs > claim.affinitySeconds * 1000)
      return undefined;
    return claim.endpoints.find((each) => !tried.has(each) && takesNew(each) && textOf(each) === last.endpoint);
  }

  #remember(wanted: Wanted, { name, affinitySeconds }: LoopbackPort, endpoint: PlanEndpoint): void {
    if (affinitySeconds === 0) return;
    wanted.last = { endpoint: textOf(endpoint), service: name, atMs: this.#options.clock.now() };
  }

  /** Warns once, until there was room again. */
  #tellLimit(isLimited: boolean): void {
    if (isLimited && !this.#wasLimited)
      this.#options.log.warn(
        { connections: this.#relay.size },
        'too many connections to NodePorts on ::1: new ones are reset',
      );
    this.#wasLimited = isLimited;
  }
}

function textOf({ address, port }: PlanEndpoint): string {
  return joinHostPort(address, port);
}

function ofPort(port: number): string {
  return `port ${port}`;
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}
