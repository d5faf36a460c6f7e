import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeAsRoot } from '../network-namespace';
import { Lab } from './lab';
import { addresses, crowd, places } from './topology';

// A busy machine needs some time to start sixteen processes.
jest.setTimeout(30_000);

/** Debian's iputils-ping. Only scenarios with pings need it. */
const hasPing = existsSync('/usr/bin/ping') || existsSync('/bin/ping');
if (!hasPing) console.warn('SKIPPED: Lab.ping needs ping');
const testPing = hasPing ? test : test.skip;

describeAsRoot('Lab', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = new Lab();
    await lab.start();
  });
  afterAll(() => lab.stop());

  test('everyone reaches every pod over TCP and UDP, IPv4 and IPv6, and is seen as who they are', async () => {
    const pods = places.filter((place) => place !== 'node' && place !== 'node2' && place !== 'ext');
    const asked = places.flatMap((from) =>
      pods.flatMap((pod) =>
        (['tcp', 'udp'] as const).flatMap((protocol) =>
          (['IPv4', 'IPv6'] as const).map((family) => ({ from, pod, protocol, family })),
        ),
      ),
    );
    const answers = await Promise.all(
      asked.map(async ({ from, pod, protocol, family }) => {
        const [answer] = await lab.probe(from, { to: addresses[pod][family], port: 8080, protocol });
        return { from, family, pod, answer };
      }),
    );
    for (const { from, family, pod, answer } of answers) {
      expect(answer).toMatchObject({ outcome: 'ok', pod, port: 8080 });
      if (from !== 'node' && from !== 'node2' && from !== pod)
        expect(answer).toMatchObject({ source: addresses[from][family] });
    }
  });

  test('a closed port refuses, an address of no one is silent', async () => {
    const { IPv4: to } = addresses.node;
    expect(await lab.probe('ext', { to, port: 80, count: 2 })).toEqual([
      { outcome: 'refused' },
      { outcome: 'refused' },
    ]);
    expect(await lab.probe('ext', { to, port: 80, protocol: 'udp' })).toEqual([{ outcome: 'refused' }]);
    const silent = await lab.probe('c', { to: '10.96.0.10', port: 80, count: 9, timeoutMs: 100 });
    expect(silent).toEqual([{ outcome: 'timeout' }, { outcome: 'timeout' }]);
  });

  test('a source port and address can be fixed, and the crowd answers by its own addresses', async () => {
    const fixed = { to: addresses.d.IPv4, port: 53, sourcePort: 40001, sourceAddress: addresses.c.IPv4, count: 2 };
    expect(await lab.probe('c', { ...fixed, protocol: 'udp' })).toMatchObject([{ pod: 'd' }, { pod: 'd' }]);
    expect(await lab.probe('ext', { to: crowd.address(300), port: 8080 })).toMatchObject([
      { pod: 'e', address: crowd.address(300) },
    ]);
  });

  test('a held connection and a steady client tell when packets stop', async () => {
    const held = await lab.hold('c', { to: addresses.d.IPv4, port: 8080, timeoutMs: 300 });
    expect(await held.ask()).toMatchObject({ outcome: 'ok', pod: 'd' });
    const steady = await lab.steady('c', { to: addresses.d.IPv4, port: 8080, perSecond: 200, timeoutMs: 300 });
    await sleep(500);
    await lab.run('node', 'ip', ['route', 'add', 'blackhole', `${addresses.d.IPv4}/32`]);
    await sleep(200);
    expect(await held.ask()).toEqual({ outcome: 'timeout' });
    await held.close();
    expect(await held.ask()).toEqual({ outcome: 'closed' });
    await lab.run('node', 'ip', ['route', 'del', 'blackhole', `${addresses.d.IPv4}/32`]);
    await sleep(300);
    const { attempts, failures, pods, latencyMs } = await steady.stop();
    expect(failures.length).toBeGreaterThan(20);
    expect(failures[0]).toMatchObject({ outcome: 'timeout' });
    expect(pods.d).toBe(attempts - failures.length);
    expect(latencyMs.p50).toBeLessThan(100);
  });

  testPing('a ping is answered, or not', async () => {
    expect(await lab.ping('c', addresses.d.IPv4)).toBe('pong');
    expect(await lab.ping('ext', addresses.e.IPv6)).toBe('pong');
    expect(await lab.ping('c', '10.96.0.10')).toBe('silent');
  });

  test('a server of the test is reachable from inside', async () => {
    const { createServer } = await import('node:http');
    const server = createServer((_, response) =>
      response.writeHead(418, { 'x-from': 'outside' }).end('short and stout'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await lab.expose('node', 8001, (server.address() as { port: number }).port);
    expect(await lab.http('node', 'http://127.0.0.1:8001/')).toMatchObject({
      status: 418,
      headers: { 'x-from': 'outside' },
      body: 'short and stout',
    });
    expect(await lab.http('node', 'http://127.0.0.1:8002/')).toMatchObject({ status: 0 });
    await new Promise((resolve) => server.close(resolve));
  });
});

describeAsRoot('Lab.stop', () => {
  const namespaces = async (prefix: string): Promise<string[]> =>
    existsSync('/run/netns') ? (await readdir('/run/netns')).filter((name) => name.startsWith(`${prefix}-`)) : [];

  test.each([0, 30, 100, 250])('leaves nothing, also %i ms after the start', async (ms) => {
    const lab = new Lab();
    const started = lab.start().catch(() => undefined);
    await sleep(ms);
    await lab.stop();
    await started;
    expect(await namespaces(lab.prefix)).toEqual([]);
    expect(existsSync(lab.directory)).toBe(false);
  });

  test('ends what was started inside, and a start removes what a dead process left', async () => {
    const left = `vwlab${2 ** 22 + 1}-1`; // no process has this number
    const lab = new Lab();
    try {
      await lab.start();
      const child = lab.spawn('node', 'sleep', ['60']);
      const orphan = new Lab(left);
      await orphan.start();
      const next = new Lab();
      await next.start();
      expect(await namespaces(left)).toEqual([]);
      expect(existsSync(orphan.directory)).toBe(false);
      await Promise.all([next.stop(), orphan.stop(), lab.stop()]);
      expect(child.signalCode).toBe('SIGKILL');
    } finally {
      await lab.stop();
    }
  });
});
