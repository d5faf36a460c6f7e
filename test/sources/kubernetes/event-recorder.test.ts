import { ApiError } from '../../../src/sources/kubernetes/api-client';
import { type ClusterEvent, EventRecorder } from '../../../src/sources/kubernetes/event-recorder';
import { FakeClock, settle } from '../../reconciler/fake-clock';
import { recordLog } from '../../servers/listening';

type Answer = 'taken' | 'never' | Error;

class Api {
  readonly clock = new FakeClock();
  readonly events: Record<string, unknown>[] = [];
  readonly paths: string[] = [];
  readonly recorder: EventRecorder;
  /** Of the requests to come; then all are taken. */
  answers: Answer[] = [];

  constructor() {
    const post = (path: string, object: unknown, signal: AbortSignal): Promise<unknown> => {
      const answer = this.answers.shift() ?? 'taken';
      this.paths.push(path);
      if (answer === 'never')
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
      if (answer !== 'taken') return Promise.reject(answer);
      this.events.push(object as Record<string, unknown>);
      return Promise.resolve({});
    };
    this.recorder = new EventRecorder({ post }, 'node-1', this.clock, recordLog().log);
  }
}

const starting: ClusterEvent = { type: 'Normal', reason: 'Starting', action: 'StartKubeProxy', note: 'vipwire 0' };
const busy: ClusterEvent = {
  type: 'Warning',
  reason: 'FailedToStartServiceHealthcheck',
  action: 'Listen',
  note: 'x'.repeat(2000),
  service: { namespace: 'shop', name: 'cart' },
};

test("an event of the node is kube-proxy's", async () => {
  const api = new Api();
  api.recorder.record(starting);
  await settle();
  expect(api.paths).toEqual(['/apis/events.k8s.io/v1/namespaces/default/events']);
  expect(api.events).toEqual([
    {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: expect.stringMatching(/^node-1\.[0-9a-f]{16}$/) as string, namespace: 'default' },
      eventTime: '1970-01-01T00:16:40.000000Z',
      reportingController: 'kube-proxy',
      reportingInstance: 'vipwire-node-1',
      action: 'StartKubeProxy',
      reason: 'Starting',
      type: 'Normal',
      note: 'vipwire 0',
      regarding: { kind: 'Node', name: 'node-1' },
    },
  ]);
});

test("one of a Service is in the Service's namespace, and fits the API's limits", async () => {
  const api = new Api();
  api.recorder.record(busy);
  await settle();
  expect(api.paths).toEqual(['/apis/events.k8s.io/v1/namespaces/shop/events']);
  expect(api.events[0]).toMatchObject({
    metadata: { namespace: 'shop' },
    regarding: { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'cart' },
    note: 'x'.repeat(1024),
  });
});

test('what has no answer is sent again, in order, until it is given up', async () => {
  const api = new Api();
  api.answers = Array.from({ length: 13 }, () => new Error('no route'));
  api.recorder.record(starting);
  api.recorder.record(busy);
  await api.clock.advance(119_000);
  expect(api.paths).toHaveLength(12);
  expect(api.paths.every((path) => path.includes('/default/'))).toBe(true);
  await api.clock.advance(20_000);
  expect(api.events.map(({ reason }) => reason)).toEqual(['FailedToStartServiceHealthcheck']);
});

test.each([403, 404, 422])('%d is not asked twice', async (status) => {
  const api = new Api();
  api.answers = [new ApiError(status, '', 'no')];
  api.recorder.record(starting);
  api.recorder.record(busy);
  await settle();
  expect([api.paths.length, api.events.length]).toEqual([2, 1]);
});

test('a server that never answers holds nobody up, and fifty wait at most', async () => {
  const api = new Api();
  api.answers = ['never'];
  for (let n = 0; n < 100; n++) api.recorder.record(starting);
  const stopped = api.recorder.stop(2000);
  await api.clock.advance(2000);
  await stopped;
  api.recorder.record(starting);
  expect(api.paths).toHaveLength(1);
  const other = new Api();
  other.answers = [new Error('no route')];
  for (let n = 0; n < 100; n++) other.recorder.record(starting);
  await other.clock.advance(10_000);
  expect(other.events).toHaveLength(50);
});

test('at the end there is time to send what is pending', async () => {
  const api = new Api();
  api.recorder.record(starting);
  await api.recorder.stop(2000);
  expect(api.events).toHaveLength(1);
});
