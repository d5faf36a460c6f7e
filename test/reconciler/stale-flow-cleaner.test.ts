import type { Conntrack } from '../../src/host/conntrack';
import { ConntrackUnavailableError } from '../../src/host/conntrack-unavailable';
import type { Plan } from '../../src/planner/plan';
import { StaleFlowCleaner } from '../../src/reconciler/stale-flow-cleaner';
import type { SyncReport } from '../../src/reconciler/sync-report';
import { createLogger } from '../../src/telemetry/logger';
import { OpenQuestions } from '../../src/telemetry/open-questions';
import { clusterIP, endpoint, plan, service, servicePort } from '../support/plans';
import { FakeClock } from './fake-clock';

const dns = service([
  servicePort('dns', {
    protocol: 'UDP',
    frontends: [clusterIP('10.96.0.10', 53)],
    clusterEndpoints: [endpoint('10.1.0.2', 5353)],
  }),
]);

const report: SyncReport = {
  family: 'IPv4',
  triggerTimesMs: [],
  reasons: new Set(['start']),
  before: new Map(),
  after: new Map(),
  written: undefined,
  ownMs: 0,
  kernelMs: 0,
  drifted: false,
};

class Tracked {
  readonly clock = new FakeClock();
  readonly lines: string[] = [];
  private readonly log = createLogger({ verbosity: 0, format: 'json' }, (line) => this.lines.push(line));
  readonly questions = new OpenQuestions(this.log);
  calls = 0;
  cleaned = 0;
  fault: Error | undefined;
  private readonly cleaner = new StaleFlowCleaner({
    family: 'IPv4',
    conntrack: {
      deleteUdpFlows: () => {
        this.calls++;
        return this.fault === undefined ? Promise.resolve(1) : Promise.reject(this.fault);
      },
    } as unknown as Conntrack,
    nodeAddresses: () => new Set(),
    clock: this.clock,
    log: this.log,
    questions: this.questions,
    onCleaned: () => this.cleaned++,
  });

  synced(): void {
    const now: Plan = plan('IPv4', [dns]);
    this.cleaner.synced(report, () => now);
  }

  stop(): Promise<void> {
    return this.cleaner.stop();
  }
}

test('a tracker that does not answer is asked again without a change, said once, and done once it does', async () => {
  const tracked = new Tracked();
  tracked.fault = new Error('netlink request 0x101: ETIMEDOUT');
  tracked.synced();
  await tracked.clock.advance(60_000);
  expect(tracked.calls).toBeGreaterThan(2);
  expect(tracked.calls).toBeLessThan(8);
  expect(tracked.lines).toHaveLength(1);
  expect(tracked.questions.list()).toHaveLength(1);
  tracked.fault = undefined;
  await tracked.clock.advance(300_000);
  expect(tracked.cleaned).toBe(1);
  expect(tracked.questions.list()).toEqual([]);
  await tracked.stop();
});

test('a machine without a tracker is told once, and asked again now and then: a module may come', async () => {
  const tracked = new Tracked();
  tracked.fault = new ConntrackUnavailableError('the kernel has no nf_conntrack_netlink');
  tracked.synced();
  for (let i = 0; i < 50; i++) {
    tracked.synced();
    await tracked.clock.advance(1000);
  }
  expect(tracked.calls).toBe(1);
  expect(tracked.lines).toHaveLength(1);
  tracked.fault = undefined;
  await tracked.clock.advance(300_000);
  expect(tracked.cleaned).toBe(1);
  await tracked.stop();
});
