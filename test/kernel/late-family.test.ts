/** A family whose tools do not answer when the proxy starts: the other one is served at once, and this one as soon as they answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import { service, slice } from '../conformance/objects';
import type { ClusterObject } from '../conformance/scenario';
import { BusyCluster, busyObjects, logLines, throughVIP } from '../support/busy-cluster';
import { type Fault, FaultyTools } from '../support/faulty-tools';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';
import { until } from '../support/until';

const vip6 = 'fd96::10';
const six: readonly ClusterObject[] = [
  service({ name: 'six', clusterIPs: [vip6] }),
  slice(['a', 'b'], { service: 'six', family: 'IPv6' }),
];

class LateCluster extends BusyCluster {
  readonly tools: FaultyTools;

  constructor(variant: 'nft' | 'legacy', proxyVariant: 'nft' | 'legacy' | 'auto' = variant) {
    super({ variant, proxyVariant, clients: [throughVIP], env: () => this.tools.env });
    const named = ['iptables', 'ip6tables'].map((name) => `${name}-${variant}`);
    this.tools = new FaultyTools(this.lab.directory, [...named, `ip6tables-${variant}-restore`]);
  }

  async readyz(): Promise<{ ready: boolean; reasons: string[] }> {
    const { body } = await this.lab.http('node', 'http://127.0.0.1:10256/readyz');
    return JSON.parse(body) as { ready: boolean; reasons: string[] };
  }

  async until(what: string, isSo: () => Promise<boolean>, limitMs = 60_000): Promise<void> {
    const details = (): string => this.proxy.log().slice(-3000);
    await until(() => isSo().catch(() => false), { what, limitMs, everyMs: 100, details });
  }

  async answers(to: string): Promise<boolean> {
    return (await this.lab.probe('a', { to, port: 80, count: 5 })).every(({ outcome }) => outcome === 'ok');
  }

  said(text: string): string[] {
    return logLines(this.proxy.log(), text);
  }
}

describeAsRoot('a family that cannot be asked at the start', () => {
  test.each<['nft' | 'legacy', Fault]>([
    ['nft', 'fails'],
    ['nft', 'crashes'],
    ['nft', 'hangs'],
    ['legacy', 'words'],
  ])(
    '%s: ip6tables %s, then works: IPv6 is served, and IPv4 all the while',
    async (variant, fault) => {
      const cluster = new LateCluster(variant);
      const tool = `ip6tables-${variant}`;
      try {
        cluster.tools.break(tool, fault, "'--wait'*");
        await cluster.setUp([...busyObjects, ...six]);
        cluster.proxy.start();
        await cluster.until('IPv4', () => cluster.answers('10.96.0.10'));
        await cluster.until('not ready', async () => (await cluster.readyz()).reasons.length === 1);
        expect(await cluster.readyz()).toEqual({
          ready: false,
          reasons: [expect.stringMatching(new RegExp(`^IPv6 is not served: ${tool}: `))],
        });
        expect(cluster.said('cannot tell whether IPv6 can be served')).toHaveLength(1);
        expect(await cluster.answers(vip6)).toBe(false);
        const wrong = await cluster.whileBusy(async () => {
          cluster.tools.mend(tool);
          await cluster.until('IPv6', () => cluster.answers(vip6));
        });
        expect(wrong).toEqual([]);
        await cluster.until('ready', async () => (await cluster.readyz()).ready);
        expect(cluster.said('somebody else')).toEqual([]);
        // Changes reach it too.
        await cluster.apply([slice(['d'], { service: 'six', family: 'IPv6' })]);
        const pods = await cluster.lab.probe('a', { to: vip6, port: 80, count: 5 });
        expect(new Set(pods.map((it) => (it.outcome === 'ok' ? it.pod : it.outcome)))).toEqual(new Set(['d']));
      } finally {
        await cluster.stop();
      }
    },
    120_000,
  );

  test('a rule of nft in ip6 nat and in ip filter: both families are served, also after a restart', async () => {
    const cluster = new LateCluster('nft', 'auto');
    const native = async (...words: readonly string[]): Promise<unknown> => cluster.lab.run('node', 'nft', words);
    try {
      await cluster.setUp([...busyObjects, ...six]);
      await native('add', 'table', 'ip6', 'nat');
      await native('add', 'chain', 'ip6', 'nat', 'POSTROUTING', '{ type nat hook postrouting priority 100; }');
      await native('add', 'rule', 'ip6', 'nat', 'POSTROUTING', 'ct', 'state', 'established', 'accept');
      for (let start = 0; start < 2; start++) {
        cluster.proxy.start();
        await cluster.until('served', async () => (await cluster.answers('10.96.0.10')) && cluster.answers(vip6));
        await cluster.until('ready', async () => (await cluster.readyz()).ready);
        await cluster.proxy.stop();
        // The next start finds rules of its own that it cannot read in full.
        if (start === 0) {
          await native('add', 'rule', 'ip', 'filter', 'INPUT', 'ct', 'state', 'established', 'accept');
          await native('add', 'rule', 'ip', 'nat', 'POSTROUTING', 'ct', 'state', 'established', 'accept');
        }
      }
      expect(cluster.said('"using iptables" variant="nft"')).toHaveLength(2);
      expect(cluster.said('cannot tell whether IPv')).toEqual([]);
      const { stdout } = await cluster.lab.run('node', 'iptables-legacy-save', []);
      expect(stdout).not.toContain('KUBE-');
    } finally {
      await cluster.stop();
    }
  }, 120_000);

  test('nobody needs IPv6: a warning and the status say so, and the node is ready', async () => {
    const cluster = new LateCluster('nft');
    try {
      cluster.tools.break('ip6tables-nft', 'fails');
      await cluster.setUp();
      await cluster.startProxy();
      await cluster.until('ready', async () => (await cluster.readyz()).ready);
      expect(cluster.said('cannot tell whether IPv6 can be served')).toHaveLength(1);
      const [node = '', script = ''] = vipwire;
      const { stdout } = await cluster.lab.run('node', node, [script, 'status', '-o', 'json']);
      expect(JSON.parse(stdout)).toMatchObject({
        unanswered: [
          { question: 'whether IPv6 can be served', reason: expect.stringContaining('out of order') as unknown },
        ],
      });
      await cluster.apply(six);
      expect((await cluster.readyz()).ready).toBe(false);
    } finally {
      await cluster.stop();
    }
  }, 60_000);

  test('IPv4, the primary family, fails while IPv6 works: the proxy stays, and IPv4 follows', async () => {
    const cluster = new LateCluster('nft');
    try {
      cluster.tools.break('iptables-nft', 'fails', "'--wait'*");
      await cluster.setUp([...busyObjects, ...six]);
      cluster.proxy.start();
      await cluster.until('IPv6', () => cluster.answers(vip6), 90_000);
      expect(await cluster.readyz()).toMatchObject({ ready: false });
      cluster.tools.mend('iptables-nft');
      await cluster.until('IPv4', () => cluster.answers('10.96.0.10'));
      await cluster.until('ready', async () => (await cluster.readyz()).ready);
    } finally {
      await cluster.stop();
    }
  }, 150_000);

  test('both fail and then work: the proxy stays, and serves both', async () => {
    const cluster = new LateCluster('nft');
    const both = ['iptables-nft', 'ip6tables-nft'];
    try {
      for (const tool of both) cluster.tools.break(tool, 'fails', "'--wait'*");
      await cluster.setUp([...busyObjects, ...six]);
      cluster.proxy.start();
      await cluster.until('not ready', async () => {
        const { ready, reasons } = await cluster.readyz();
        return !ready && reasons.some((reason) => reason.includes('out of order'));
      });
      for (const tool of both) cluster.tools.mend(tool);
      await cluster.until('both', async () => (await cluster.answers('10.96.0.10')) && cluster.answers(vip6));
      await cluster.until('ready', async () => (await cluster.readyz()).ready);
    } finally {
      await cluster.stop();
    }
  }, 120_000);

  test('legacy: while somebody holds the xtables lock the proxy says who it is, and it serves when the lock is free', async () => {
    const cluster = new LateCluster('legacy');
    try {
      await cluster.setUp([...busyObjects, ...six]);
      const holder = cluster.lab.spawn('node', 'flock', ['--no-fork', '/run/xtables.lock', 'sleep', '600']);
      await sleep(300);
      const startedMs = performance.now();
      cluster.proxy.start();
      const hasSaid = (): Promise<boolean> => Promise.resolve(cluster.said('holds the xtables lock').length > 0);
      await cluster.until('said', hasSaid, 20_000);
      expect(performance.now() - startedMs).toBeLessThan(10_000);
      expect(cluster.said('holds the xtables lock')[0]).toContain(`(pid ${holder.pid})`);
      await sleep(15_000);
      expect(cluster.proxy.ended).toBeUndefined();
      expect(cluster.said('holds the xtables lock').length).toBeLessThan(4);
      expect((await cluster.readyz()).reasons.join()).toContain(`sleep (pid ${holder.pid})`);
      holder.kill('SIGKILL');
      await cluster.until('free', async () => (await cluster.answers('10.96.0.10')) && cluster.answers(vip6));
      await cluster.until('ready', async () => (await cluster.readyz()).ready);
    } finally {
      await cluster.stop();
    }
  }, 120_000);
});
