import { type RuleWriter, StatusBoard } from '../../src/telemetry/status-board';
import { SyncHistory } from '../../src/telemetry/sync-history';

const startMs = Date.UTC(2026, 0, 2, 3, 4, 5);
const facts = { ms: 20, written: 4, bytes: 512, services: 2, endpoints: 6, rules: { nat: 30, filter: 10 } };
const of = { version: '0', node: 'node', mode: 'iptables', healthy: true, nodeEligible: true };

const writing: RuleWriter = { waitingFor: () => [], unserved: () => [] };

function create() {
  let nowMs = startMs;
  const board = new StatusBoard(() => nowMs);
  return {
    board,
    status: () => board.status(of, writing),
    pass: (ms: number): void => {
      nowMs += ms;
    },
  };
}

describe('readiness', () => {
  test('is not there before the start, nor before the first sync of every family', () => {
    const { board } = create();
    const waiting = { ...writing, waitingFor: () => ['the tools of this machine have not answered yet'] };
    board.queued('IPv4');
    expect(board.notReady(waiting)).toEqual(['the tools of this machine have not answered yet']);
    board.queued('IPv6');
    board.synced('IPv4', facts);
    expect(board.notReady(writing)).toEqual(['the first IPv6 rules are being written']);
    board.synced('IPv6', facts);
    expect(board.notReady(writing)).toEqual([]);
  });

  test('goes while writes fail, and says why', () => {
    const { board } = create();
    board.synced('IPv4', facts);
    board.failed('IPv4', 1, 'iptables-nft-restore: exit 4');
    expect(board.notReady(writing)).toEqual(['the IPv4 rules cannot be written: iptables-nft-restore: exit 4']);
    board.synced('IPv4', facts);
    expect(board.notReady(writing)).toEqual([]);
  });
});

test('a family waits, is in force, behind, failing', () => {
  const { board, status, pass } = create();
  board.queued('IPv4');
  expect(status().families.IPv4).toMatchObject({ state: 'waiting', services: 0 });
  board.synced('IPv4', facts);
  expect(status().families.IPv4).toEqual({
    state: 'in force',
    services: 2,
    endpoints: 6,
    rules: { nat: 30, filter: 10 },
    lastSync: { at: '2026-01-02T03:04:05.000Z', ms: 20, rules: 4, bytes: 512 },
    failures: 0,
    history: [[startMs - 5000, 1, 20, 20]],
  });
  board.queued('IPv4');
  pass(3000);
  board.queued('IPv4');
  expect(status().families.IPv4).toMatchObject({ state: 'behind', pendingSince: '2026-01-02T03:04:05.000Z' });
  board.failed('IPv4', 2, 'no');
  expect(status().families.IPv4).toMatchObject({ state: 'failing', failures: 2, lastError: 'no' });
  expect(status().errors).toEqual([{ at: '2026-01-02T03:04:08.000Z', message: 'IPv4: no' }]);
});

test('errors are the newest twenty', () => {
  const { board, status } = create();
  for (let n = 1; n <= 30; n++) board.failed('IPv6', n, `error ${n}`);
  expect(status().errors.map(({ message }) => message)).toEqual(
    Array.from({ length: 20 }, (_, i) => `IPv6: error ${30 - i}`),
  );
});

describe('a warning', () => {
  const bad = (message: string) => ({ object: 'Service shop/cart', kind: 'bad-port', message });

  test('is told once, with the last time, the newest first', () => {
    const { board, status, pass } = create();
    board.warned(bad('port 0'));
    pass(5000);
    board.warned(bad('port 1'));
    pass(5000);
    board.warned(bad('port 0'));
    expect(status().warnings).toEqual([
      { ...bad('port 0'), at: '2026-01-02T03:04:15.000Z' },
      { ...bad('port 1'), at: '2026-01-02T03:04:10.000Z' },
    ]);
  });

  test('goes when its object changes and is not warned of again', () => {
    const { board, status, pass } = create();
    board.warned(bad('port 0'));
    board.objectChanged('Service shop/cart');
    expect(status().warnings).toHaveLength(1);
    pass(60_000);
    board.warned(bad('port 1'));
    board.objectChanged('Service shop/web');
    board.objectChanged('Service shop/cart');
    expect(status().warnings.map(({ message }) => message)).toEqual(['port 1']);
    pass(60_000);
    board.objectChanged('Service shop/cart');
    expect(status().warnings).toEqual([]);
  });

  test('of many objects the latest thousand stay', () => {
    const { board, status } = create();
    for (let n = 0; n < 1100; n++) board.warned({ object: `Service a/${n}`, kind: 'k', message: 'm' });
    const objects = status().warnings.map(({ object }) => object);
    expect(objects).toHaveLength(1000);
    expect(objects).not.toContain('Service a/99');
  });
});

test('a watch is told with its restarts and lists', () => {
  const { board, status, pass } = create();
  board.watchStarted('services');
  board.relisted('services');
  pass(1000);
  board.watchStarted('services');
  expect(status().watches['services']).toEqual({
    watching: true,
    since: '2026-01-02T03:04:05.000Z',
    restarts: 0,
    relists: 1,
  });
  board.watchEnded('services', 'silent');
  expect(status().watches['services']).toMatchObject({
    watching: false,
    since: '2026-01-02T03:04:06.000Z',
    restarts: 1,
    lastEnd: 'silent',
  });
});

test('a watch that is not current for long is a warning, readiness stays, and its return ends it', () => {
  const { board, status, pass } = create();
  board.synced('IPv4', facts);
  board.watchStarted('services');
  board.watchCurrent('services');
  pass(1000);
  board.watchLost('services');
  expect(status().watches['services']).not.toHaveProperty('staleSince');
  pass(60_000);
  board.watchLost('services');
  board.watchStale('services', 'connect ECONNREFUSED');
  expect(status().watches['services']).toMatchObject({ staleSince: '2026-01-02T03:04:06.000Z' });
  expect(status().warnings).toMatchObject([
    {
      object: 'watch of services',
      kind: 'stale-watch',
      message: 'changes are not seen (connect ECONNREFUSED); the rules stay as they are',
    },
  ]);
  expect(status().notReady).toEqual([]);
  board.watchCurrent('services');
  expect(status().warnings).toEqual([]);
  expect(status().watches['services']).not.toHaveProperty('staleSince');
  board.watchGone('services');
  expect(status().watches).toEqual({});
});

test('requests that fail are counted until one is answered', () => {
  const { board, status } = create();
  const done = (code: string): void => board.requestDone({ code, method: 'GET', host: 'api:6443', seconds: 0.01 });
  done('200');
  done('<error>');
  done('503');
  board.requestDone({ code: '403', method: 'POST', host: 'api:6443', seconds: 0.01 });
  expect(status().api).toEqual({
    host: 'api:6443',
    lastAnswer: '2026-01-02T03:04:05.000Z',
    failures: 2,
    lastFailure: '503',
  });
  done('200');
  expect(status().api).toEqual({ host: 'api:6443', lastAnswer: '2026-01-02T03:04:05.000Z', failures: 0 });
});

test('the history has an hour in steps of ten seconds, however many syncs there were', () => {
  const history = new SyncHistory();
  for (let ms = 0; ms < 2 * 3_600_000; ms += 1000) history.add(startMs + ms, ms % 10_000 === 0 ? 40 : 10);
  const nowMs = startMs + 2 * 3_600_000;
  const steps = history.lastHour(nowMs);
  expect(steps.length).toBeLessThanOrEqual(361);
  expect(steps[0]?.[0]).toBeGreaterThan(nowMs - 3_610_000);
  expect(steps[5]).toEqual([expect.any(Number), 10, 13, 40]);
  expect(history.lastHour(nowMs + 3_600_000)).toEqual([]);
});
