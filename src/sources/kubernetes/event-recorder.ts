/** Sends events for `kubectl get events` through the events API (events.k8s.io/v1). Best effort: nothing waits for them. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../host/clock';
import { messageOf } from '../../model/error-message';
import type { Logger } from '../../telemetry/log';
import { type ApiClient, ApiError } from './api-client';

export interface ClusterEvent {
  readonly type: 'Normal' | 'Warning';
  /** Such as `Starting`. */
  readonly reason: string;
  /** Such as `StartKubeProxy`. */
  readonly action: string;
  readonly note: string;
  /** The Service that the event is about. Without it, the event is about this node. */
  readonly service?: { readonly namespace: string; readonly name: string };
}

/** kube-proxy's name, so that queries find the events of both. */
const reportingController = 'kube-proxy';
const mostPending = 50;
/** The limit of client-go. */
const tries = 12;
const retryMs = 10_000;
/** The API's limits. */
const mostNote = 1024;
const mostInstance = 128;

interface PendingEvent {
  readonly namespace: string;
  readonly object: object;
}

export class EventRecorder {
  readonly #pending: PendingEvent[] = [];
  readonly #stopping = new AbortController();
  #sending: Promise<void> | undefined;

  readonly #client: Pick<ApiClient, 'post'>;
  readonly #nodeName: string;
  readonly #clock: Clock;
  readonly #log: Logger;

  constructor(client: Pick<ApiClient, 'post'>, nodeName: string, clock: Clock, log: Logger) {
    this.#client = client;
    this.#nodeName = nodeName;
    this.#clock = clock;
    this.#log = log;
  }

  /** Returns at once. Events are dropped when too many are pending, and when the API server refuses them. */
  record(event: ClusterEvent): void {
    if (this.#stopping.signal.aborted || this.#pending.length >= mostPending) return;
    this.#pending.push(this.#pendingOf(event));
    this.#sending ??= this.#send().finally(() => (this.#sending = undefined));
  }

  /** Stops, after waiting at most this long for the pending events. */
  async stop(graceMs = 0): Promise<void> {
    const sending = this.#sending;
    const grace = new AbortController();
    await Promise.race([sending, this.#clock.sleep(graceMs, grace.signal)]);
    grace.abort();
    this.#stopping.abort();
    await sending;
  }

  #pendingOf({ type, reason, action, note, service }: ClusterEvent): PendingEvent {
    const { namespace, name } = service ?? { namespace: 'default', name: this.#nodeName };
    const regarding =
      service === undefined ? { kind: 'Node', name } : { apiVersion: 'v1', kind: 'Service', namespace, name };
    const object = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: `${name}.${randomBytes(8).toString('hex')}`, namespace },
      eventTime: new Date(this.#clock.epochMs()).toISOString().replace('Z', '000Z'),
      reportingController,
      reportingInstance: `vipwire-${this.#nodeName}`.slice(0, mostInstance),
      action,
      reason,
      type,
      note: note.slice(0, mostNote),
      regarding,
    };
    return { namespace, object };
  }

  async #send(): Promise<void> {
    for (let event = this.#pending[0]; event !== undefined; event = this.#pending[0]) {
      await this.#sendOne(event);
      this.#pending.shift();
      if (this.#stopping.signal.aborted) return;
    }
  }

  async #sendOne({ namespace, object }: PendingEvent): Promise<void> {
    const { signal } = this.#stopping;
    for (let attempt = 1; attempt <= tries && !signal.aborted; attempt++)
      try {
        await this.#client.post(`/apis/events.k8s.io/v1/namespaces/${namespace}/events`, object, signal);
        return;
      } catch (error) {
        this.#log.debug({ reason: messageOf(error), attempt }, 'API server did not accept an event');
        const isRefused = error instanceof ApiError && error.status < 500 && error.status !== 429;
        if (isRefused) return;
        await this.#clock.sleep(retryMs, signal);
      }
  }
}
