import { formatAge, isWell, printStatus } from '../../src/cli/print-status';
import type { DaemonStatus } from '../../src/telemetry/status';

const well: DaemonStatus = {
  version: '0.1.0',
  node: 'node-1',
  mode: 'iptables',
  now: '2026-01-02T03:04:05.000Z',
  started: '2025-12-31T00:04:05.000Z',
  healthy: true,
  nodeEligible: true,
  notReady: [],
  families: {
    IPv4: {
      state: 'in force',
      services: 5000,
      endpoints: 50_000,
      rules: { nat: 60_010, filter: 19, mangle: 0 },
      lastSync: { at: '2026-01-02T03:03:53.000Z', ms: 79.4, rules: 3, bytes: 1500 },
      failures: 0,
      history: [],
    },
    IPv6: { state: 'waiting', services: 0, endpoints: 0, rules: {}, failures: 0, history: [] },
  },
  watches: {
    services: { watching: true, since: '2026-01-02T03:00:00.000Z', restarts: 2, relists: 1, lastEnd: 'ended' },
    endpointslices: { watching: false, since: '2026-01-02T03:04:00.000Z', restarts: 1, relists: 1 },
  },
  api: { host: '10.0.0.1:6443', failures: 0, lastAnswer: '2026-01-02T03:04:01.000Z' },
  drift: { repairs: 0 },
  unanswered: [],
  errors: [],
  warnings: [],
  memory: { residentBytes: 170 << 20, heapBytes: 80 << 20 },
};

test('everything on some twenty lines, aligned', () => {
  expect(printStatus(well, false)).toBe(`\
vipwire 0.1.0 on node-1, mode iptables, up 2 d 3 h
the rules for the present cluster are in force

  family  state     services  endpoints  rules                 last sync  took   wrote
  IPv4    in force  5000      50000      nat 60010, filter 19  12 s ago   79 ms  3 rules, 1500 B
  IPv6    waiting   0         0                                none yet

API server 10.0.0.1:6443: last answer 4 s ago
  watch           state         for    restarts  lists  last end
  services        watching      4 min  2         1      ended
  endpointslices  not watching  5 s    1         1

memory         170 MiB resident, 80 MiB of the heap in use
drift repairs  0
errors         none
warnings       none
`);
});

test('what is wrong, and since when', () => {
  const ill: DaemonStatus = {
    ...well,
    healthy: false,
    nodeEligible: false,
    notReady: ['the IPv4 rules cannot be written: iptables-nft-restore: exit 4'],
    api: { host: '10.0.0.1:6443', failures: 7, lastFailure: 'no answer' },
    drift: { repairs: 2, last: '2026-01-02T02:04:05.000Z' },
    errors: [{ at: '2026-01-02T03:04:00.000Z', message: 'IPv4: exit 4\nat line 3' }],
    warnings: Array.from({ length: 22 }, (_, n) => ({
      object: `Service shop/s${n}`,
      kind: 'bad-port',
      message: 'port 0',
      at: '2026-01-02T03:02:00.000Z',
    })),
  };
  const lines = printStatus(ill, false).split('\n');
  for (const line of [
    'not ready: the IPv4 rules cannot be written: iptables-nft-restore: exit 4',
    'not healthy: changes have waited too long (/livez is 503)',
    'the node is leaving, or not known: no load balancer traffic (/healthz is 503)',
    'the API server does not answer: changes are not seen',
    'API server 10.0.0.1:6443: 7 requests in a row failed (no answer)',
    'drift repairs  2, the last 60 min ago',
    '  5 s ago  IPv4: exit 4 at line 3',
    '  2 min ago  Service shop/s9   port 0',
    '  and 2 more: --output json',
  ])
    expect(lines).toContain(line);
});

test('a watch that is not current is said, whatever the last request was answered', () => {
  const since = '2026-01-02T03:00:00.000Z';
  const stale = { watching: true, since, staleSince: since, restarts: 9, relists: 4, lastEnd: '500' };
  const status = { ...well, watches: { ...well.watches, services: stale } };
  const lines = printStatus(status, false).split('\n');
  expect(lines).toContain('changes are not seen: services for 4 min');
  expect(lines).toContain('the rules for the cluster as it was last seen are in force');
  expect(isWell(status)).toBe(false);
});

test('colours are for states alone, and keep the columns', () => {
  const coloured = printStatus(well, true);
  expect(coloured).toContain('\u001b[32min force\u001b[0m  5000');
  expect(coloured).toContain('\u001b[31mnot watching\u001b[0m  5 s');
  expect(coloured.replaceAll(/\u001b\[\d+m/g, '')).toBe(printStatus(well, false));
});

test('without an API server nothing is said of one', () => {
  expect(printStatus({ ...well, api: { host: '', failures: 0 }, watches: {} }, false)).not.toContain('API server');
});

test.each([
  [{}, true],
  [{ nodeEligible: false }, true],
  [{ healthy: false }, false],
  [{ notReady: ['it starts'] }, false],
  [{ api: { host: 'a', failures: 3 } }, false],
  [{ api: { host: 'a', failures: 3 }, watches: {} }, true],
])('%j is well: %p', (over, is) => {
  expect(isWell({ ...well, ...over })).toBe(is);
});

test.each([
  [0, '0 s'],
  [119, '119 s'],
  [120, '2 min'],
  [7199, '119 min'],
  [3 * 3600 + 300, '3 h 5 min'],
  [52 * 3600, '2 d 4 h'],
  [-5, '0 s'],
])('an age of %d s is %s', (seconds, text) => {
  const now = Date.UTC(2026, 0, 2);
  expect(formatAge(new Date(now - seconds * 1000).toISOString(), new Date(now).toISOString())).toBe(text);
});
