import { listServices } from '../../src/planner/list-services';
import { MetricsServer } from '../../src/servers/metrics-server';
import { statusPages } from '../../src/servers/status-pages';
import { ProxyMetrics } from '../../src/telemetry/metrics';
import { StatusBoard } from '../../src/telemetry/status-board';
import { browse, describeInBrowser } from '../support/browser';
import { clusterIP, endpoint, plan, service, servicePort } from '../support/plans';
import { recordLog, TestClock } from './listening';

const services = Array.from({ length: 10_000 }, (_, n) => {
  const name = `svc-${String(n).padStart(5, '0')}`;
  const clusterEndpoints = Array.from({ length: 10 }, (_, i) =>
    endpoint(`10.${n & 255}.${n >> 8}.${i}`, 8080, i === 0),
  );
  return service([servicePort(name, { frontends: [clusterIP(`10.96.${n >> 8}.${n & 255}`)], clusterEndpoints })]);
});
const plans = [plan('IPv4', services)];

/** An hour with a change every minute, one of IPv6, and what went wrong. */
function livedBoard(): StatusBoard {
  let nowMs = Date.now() - 3_600_000;
  const board = new StatusBoard(() => nowMs);
  const rules = { nat: 120_034, filter: 19 };
  const facts = { written: 3, bytes: 1500, services: 10_000, endpoints: 100_000, rules };
  board.watchStarted('services');
  board.relisted('services');
  for (let minute = 0; minute < 60; minute++) {
    board.synced('IPv4', { ...facts, ms: minute === 0 ? 4700 : 60 + 40 * Math.abs(Math.sin(minute)) });
    if (minute % 7 === 0) board.synced('IPv6', { ...facts, ms: 12, services: 3, endpoints: 5 });
    nowMs += 60_000;
  }
  board.watchEnded('services', 'silent');
  board.requestDone({ code: '200', method: 'GET', host: '10.0.0.1:6443', seconds: 0.01 });
  board.warned({ object: 'Service shop/cart', kind: 'bad-port', message: 'port <b>0</b> is none' });
  return board;
}

describeInBrowser('the status page, in a browser, with 10,000 Services', () => {
  let server: MetricsServer;
  const told = { version: '0.1.0', node: 'node-1', mode: 'iptables', healthy: true, nodeEligible: true };
  beforeAll(async () => {
    const board = livedBoard();
    server = new MetricsServer({
      address: { address: '127.0.0.1', port: 0 },
      hardFail: true,
      metrics: new ProxyMetrics('0'),
      mode: () => 'iptables',
      pages: statusPages({
        status: () => board.status(told, { waitingFor: () => [], unserved: () => [] }),
        services: (asked) => listServices(plans, asked),
      }),
      clock: new TestClock(0),
      log: recordLog().log,
    });
    await server.start();
  });
  afterAll(() => server.stop());
  const open = (hash = '', picture?: string): Promise<string> =>
    browse(`http://127.0.0.1:${server.address()?.port ?? 0}/${hash}`, picture);
  const rowsOf = (html: string, table: string): string[] => {
    const body = new RegExp(`<table id="${table}".*?<tbody>(.*?)</tbody>`, 's').exec(html)?.[1] ?? '';
    return [...body.matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, row = '']) =>
      row
        .replaceAll(/<\/(td|li)>/g, ' ')
        .replaceAll(/<[^>]+>/g, '')
        .trim(),
    );
  };

  test('shows the state, the hour, what is wrong, and the first Services', async () => {
    // A picture for people: VIPWIRE_PICTURE=FILE.png
    const html = await open('', process.env['VIPWIRE_PICTURE']);
    expect(html).toContain('<h1 id="title">vipwire 0.1.0 on node-1, mode iptables</h1>');
    expect(html).toContain('The rules for the present cluster are in force.');
    expect(rowsOf(html, 'families')).toEqual([
      expect.stringMatching(/^IPv4 in force 10,000 100,000 nat 120,034, filter 19 60 s ago \d+ ms 3 rules, 1,500 B$/),
      expect.stringMatching(/^IPv6 in force 3 5 /),
    ]);
    expect(html.match(/<circle [^>]*class="IPv4"/g)?.length).toBeGreaterThanOrEqual(58);
    expect(html.match(/<circle [^>]*class="IPv6"/g)?.length).toBeGreaterThanOrEqual(8);
    expect(rowsOf(html, 'watches')).toEqual(['services not watching for 0 s 1 1 silent']);
    expect(rowsOf(html, 'trouble')).toEqual(['warning 0 s ago Service shop/cart port &lt;b&gt;0&lt;/b&gt; is none']);
    expect(rowsOf(html, 'services')).toHaveLength(50);
    expect(html).toContain('<span id="found" class="dim">10,000 Services</span>');
    expect(html).toContain('<button id="more">');
  }, 60_000);

  test('finds one of them, with its frontends, endpoints and shares', async () => {
    const html = await open('#svc-00042');
    expect(html).toContain('<span id="found" class="dim">1 of 10,000 Services</span>');
    const [row = '', ...others] = rowsOf(html, 'services');
    expect(others).toEqual([]);
    expect(row).toContain('default/svc-00042 ClusterIP 10.96.0.42:80/tcp');
    expect(row).toContain('10.42.0.0:8080 10 %, on this node');
    expect(row).toContain('10.42.0.9:8080 10 %');
    expect(html).toContain('<button id="more" hidden="">');
  }, 60_000);
});
