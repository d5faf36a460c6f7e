/** Events that people see by `kubectl get events`, by the events API (events.k8s.io/v1). Best effort: nobody waits for them. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../host/clock';
import type { Logger } from '../../telemetry/log';
import { type ApiClient, ApiError } from './api-client';
import { messageOf } from '../../model/error-message';

export interface ClusterEvent {
  readonly type: 'Normal' | 'Warning';
  /** `Starting` */
  readonly reason: string;
  /** `StartKubeProxy` */
  readonly action: string;
  readonly note: string;
  /** Left out: this node. */
  readonly service?: { readonly namespace: string; readonly name: string };
}

/** As kube-proxy says it, so that queries find both. */
const reportingController = 'kube-proxy';
const mostPending = 50;
/** client-go's. */
const tries = 12;
const retryMs = 10_000;
/** The API's limits. */
const mostNote = 1024;
const mostInstance = 128;

export class EventRecorder {
  private readonly pending: object[] = [];
  private readonly stopping = new AbortController();
  private sending: Promise<void> | undefined;

  constructor(
    private readonly client: Pick<ApiClient, 'post'>,
    private readonly nodeName: string,
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  /** Returns at once. What does not fit any more, and what the API server refuses, is dropped. */
  record(event: ClusterEvent): void {
    if (this.stopping.signal.aborted || this.pending.length >= mostPending) return;
    this.pending.push(this.objectOf(event));
    this.sending ??= this.send().finally(() => (this.sending = undefined));
  }

  /** What is pending has so long. */
  async stop(graceMs = 0): Promise<void> {
    const { sending, stopping } = this;
    const grace = new AbortController();
    await Promise.race([sending, this.clock.sleep(graceMs, grace.signal)]);
    grace.abort();
    stopping.abort();
    await sending;
  }

  private objectOf({ type, reason, action, note, service }: ClusterEvent): object {
    const { namespace, name } = service ?? { namespace: 'default', name: this.nodeName };
    const regarding =
      service === undefined ? { kind: 'Node', name } : { apiVersion: 'v1', kind: 'Service', namespace, name };
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: `${name}.${randomBytes(8).toString('hex')}`, namespace },
      eventTime: new Date(this.clock.epochMs()).toISOString().replace('Z', '000Z'),
      reportingController,
      reportingInstance: `vipwire-${this.nodeName}`.slice(0, mostInstance),
      action,
      reason,
      type,
      note: note.slice(0, mostNote),
      regarding,
    };
  }

  private async send(): Promise<void> {
    for (let event = this.pending[0]; event !== undefined; event = this.pending[0]) {
      await this.sendOne(event);
      this.pending.shift();
      if (this.stopping.signal.aborted) return;
    }
  }

  private async sendOne(event: object): Promise<void> {
    const { namespace } = (event as { metadata: { namespace: string } }).metadata;
    const { signal } = this.stopping;
    for (let attempt = 1; attempt <= tries && !signal.aborted; attempt++)
      try {
        await this.client.post(`/apis/events.k8s.io/v1/namespaces/${namespace}/events`, event, signal);
        return;
      } catch (error) {
        this.log.debug({ reason: messageOf(error), attempt }, 'an event was not taken');
        const isRefused = error instanceof ApiError && error.status < 500 && error.status !== 429;
        if (isRefused) return;
        await this.clock.sleep(retryMs, signal);
      }
  }
}
