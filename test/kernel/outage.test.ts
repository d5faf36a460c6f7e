/** Failures around the proxy, of its writes and of its API server, and what it finds in the tables of the other variant. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { slice } from '../conformance/objects';
import { BusyCluster, busyObjects, logLines, throughVIP, toItself } from '../support/busy-cluster';
import { busyServices, fullSync } from '../support/kube-proxy-node';
import type { IptablesVariant } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';
import { WatchedTools } from '../support/watched-tools';
import { until } from '../support/until';

const long = process.env['VIPWIRE_LONG'] === '1';
/** After an outage of the API server, whose clients wait up to 30 s between two tries. */
const awaySeconds = long ? 60 : 8;

class FailingCluster extends BusyCluster {
  readonly tools: WatchedTools;

  constructor(variant: IptablesVariant) {
    super({ variant, clients: [throughVIP, toItself], env: () => this.tools.env });
    this.tools = new WatchedTools(this.lab.directory, variant);
  }

  async podsOf(address: string): Promise<string[]> {
    const answers = await this.lab.probe('a', { to: address, port: 80, count: 30 });
    return [...new Set(answers.map((answer) => (answer.outcome === 'ok' ? answer.pod : answer.outcome)))].sort();
  }

  /** Milliseconds until these pods answer. */
  reachedMs(address: string, pods: readonly string[], patienceMs: number): Promise<number> {
    let seen: readonly string[] = [];
    const isReached = async (): Promise<boolean> => {
      seen = await this.podsOf(address);
      return seen.join() === pods.join();
    };
    const details = (): string => `seen: ${seen.join()}\n${this.proxy.log().slice(-2000)}`;
    const what = `${pods.join()} at ${address}`;
    return until(isReached, { what, limitMs: patienceMs, everyMs: 50, details });
  }

  logged(text: string): number {
    return logLines(this.proxy.log(), text).length;
  }
}

describeAsRoot('what fails around the proxy', () => {
  describe.each(['nft', 'legacy'] as const)('%s', (variant) => {
    const cluster = new FailingCluster(variant);
    beforeAll(async () => {
      await cluster.setUp();
      await cluster.startProxy();
    }, 30_000);
    afterAll(() => cluster.stop());

    test('writes that fail: the last good rules stay, and no change is lost', async () => {
      const before = await cluster.rules();
      cluster.tools.fail(3);
      const wrong = await cluster.whileBusy(async () => {
        cluster.put([slice(['a', 'd'])]);
        await sleep(300);
        expect(await cluster.rules()).toEqual(before);
        // A change of another Service while writes fail.
        cluster.put([slice(['c', 'b'], { service: 'self' })]);
        await cluster.reachedMs('10.96.0.10', ['a', 'd'], 20_000);
      });
      expect(wrong).toEqual([]);
      expect(await cluster.podsOf('10.96.0.11')).toEqual(['b', 'c']);
      expect(cluster.logged('cannot bring the rules into force')).toBe(3);
      expect(cluster.logged('out of order')).toBe(3);
      expect(cluster.logged('somebody else')).toBe(0);
    }, 60_000);

    test('when it is stopped during a write, it finishes the write and exits without an error', async () => {
      await cluster.proxy.stop();
      cluster.put([slice(['d'])]);
      cluster.tools.slow(1.5);
      const [file = '', ...args] = cluster.command;
      const proxy = cluster.lab.spawn('node', file, args);
      const ended = once(proxy, 'exit');
      await until(() => cluster.tools.isBusy);
      const startedMs = performance.now();
      proxy.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
      const ms = performance.now() - startedMs;
      expect(ms).toBeLessThan(4000);
      expect(await cluster.podsOf('10.96.0.10')).toEqual(['d']);
      cluster.tools.behave();
    }, 30_000);

    test('writes that fail between two tables are repaired, and nobody else is blamed', async () => {
      await cluster.startProxy();
      cluster.tools.fail(2, 'first table');
      const wrong = await cluster.whileBusy(async () => {
        // Also in the filter table for the Service whose endpoint is removed: its VIP is refused from now on.
        cluster.put([slice(['b', 'd']), slice([], { service: 'self' })]);
        await cluster.reachedMs('10.96.0.11', ['refused'], 20_000);
        cluster.put([slice(['c'], { service: 'self' })]);
        await cluster.reachedMs('10.96.0.11', ['c'], 20_000);
      }, [throughVIP]);
      expect(wrong).toEqual([]);
      expect(cluster.logged('somebody else')).toBe(0);
    }, 60_000);
  });

  test('the API server away: traffic flows, one line when it goes and one when it is back, and changes are taken up', async () => {
    const cluster = new FailingCluster('nft');
    try {
      await cluster.setUp();
      await cluster.startProxy();
      const before = cluster.proxy.log().length;
      const wrong = await cluster.whileBusy(async () => {
        await cluster.api.goAway();
        await sleep(awaySeconds * 500);
        cluster.put([slice(['a'])]);
        await sleep(awaySeconds * 500);
        await cluster.api.comeBack();
        await cluster.reachedMs('10.96.0.10', ['a'], 40_000);
      });
      expect(wrong).toEqual([]);
      const said = logLines(cluster.proxy.log().slice(before), '').filter((line) => /^[WE]|API server/.test(line));
      expect(said).toEqual([
        expect.stringContaining('API server does not answer; rules stay as they are'),
        expect.stringContaining('API server answers again'),
      ]);
    } finally {
      await cluster.stop();
    }
  }, 150_000);

  test.each(['nft', 'legacy'] as const)(
    'the other variant holds rules of kube-proxy, which are not %s: they go, and it says so',
    async (variant) => {
      const other = variant === 'nft' ? 'legacy' : 'nft';
      const cluster = new BusyCluster({ variant: other, proxyVariant: variant });
      try {
        await cluster.setUp(busyObjects);
        await fullSync(cluster, busyServices);
        await cluster.startProxy();
        const said = (): string[] =>
          logLines(cluster.proxy.log(), 'removed what a proxy had left in the other iptables variant');
        await until(() => said().length > 0, { what: 'the line about it', limitMs: 20_000, everyMs: 500 });
        expect(said()).toHaveLength(1);
      } finally {
        await cluster.stop();
      }
    },
    60_000,
  );

  test.each(['nft', 'legacy'] as const)(
    'the kubelet uses %s, and kube-proxy used the other variant: it says so',
    async (variant) => {
      const other = variant === 'nft' ? 'legacy' : 'nft';
      const cluster = new BusyCluster({ variant: other, proxyVariant: 'auto' });
      try {
        await cluster.setUp(busyObjects);
        await fullSync(cluster, busyServices);
        await cluster.lab.run('node', cluster.tool('', variant), ['-t', 'mangle', '-N', 'KUBE-IPTABLES-HINT']);
        await cluster.startProxy();
        expect(logLines(cluster.proxy.log(), `"using iptables" variant="${variant}"`)).toHaveLength(1);
        expect(logLines(cluster.proxy.log(), 'the other iptables variant has rules')).toHaveLength(1);
      } finally {
        await cluster.stop();
      }
    },
    60_000,
  );
});
