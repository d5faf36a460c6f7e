/** Rules that iptables cannot print, in the tables that vipwire writes to: vipwire works there, and kube-proxy does not. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BusyCluster, busyObjects, logLines, throughVIP } from '../support/busy-cluster';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';
import { until } from '../support/until';

/** Rules as in an administrator's nftables.conf. Each makes iptables-nft-save fail in another way, and none affects packets. */
const native = [
  ['filter', 'INPUT', 'ct state established,related accept'],
  ['filter', 'FORWARD', 'meta cpu 4095 accept'],
  ['nat', 'POSTROUTING', 'oifname nosuch0 masquerade fully-random'],
  ['nat', 'PREROUTING', 'fib daddr type broadcast accept'],
  ['mangle', 'PREROUTING', 'ct state new counter'],
] as const;
const families = ['ip', 'ip6'] as const;
const builtIn = /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/;

class NativeNode extends BusyCluster {
  constructor() {
    super({ variant: 'nft', clients: [{ ...throughVIP, perSecond: 50 }], slow: 4 });
  }

  async nft(...args: readonly string[]): Promise<string> {
    return (await this.lab.run('node', 'nft', args)).stdout;
  }

  /** @param where `insert` puts it before our jumps, `add` behind them. */
  async plant(where: 'insert' | 'add'): Promise<void> {
    for (const family of families)
      for (const [table, chain, rule] of native) {
        // The chain exists as soon as anybody has had a rule in it.
        await this.lab.run('node', `${family}tables-nft`, ['-t', table, '-S', chain]).catch(() => undefined);
        await this.nft('add', 'table', family, table);
        const hook = await this.nft('list', 'chain', family, table, chain).catch(() => '');
        if (hook === '') await this.lab.run('node', `${family}tables-nft`, ['-t', table, '-I', chain]);
        await this.nft(where, 'rule', family, table, chain, rule);
      }
  }

  /** `ip filter INPUT KUBE-FIREWALL` -> the number of jumps. */
  async jumps(): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const family of families)
      for (const table of ['nat', 'filter', 'mangle']) {
        let chain = '';
        for (const line of (await this.nft('list', 'table', family, table).catch(() => '')).split('\n')) {
          chain = /^\tchain (\S+)/.exec(line)?.[1] ?? chain;
          const [, target] = /\b(?:jump|goto) (KUBE-\S+)/.exec(line) ?? [];
          if (target === undefined || !builtIn.test(chain)) continue;
          const key = `${family} ${table} ${chain} ${target}`;
          counts.set(key, (counts.get(key) ?? 0) + 1);
        }
      }
    return counts;
  }

  /** Our chains as nft shows them, without handles and counts. */
  async chains(): Promise<string[]> {
    const all: string[] = [];
    for (const family of families)
      for (const table of ['nat', 'filter', 'mangle']) {
        const text = await this.nft('list', 'table', family, table).catch(() => '');
        for (const [, chain = '', rules = ''] of text.matchAll(/^\tchain (KUBE-\S+) \{\n([^]*?)^\t\}/gm))
          all.push(`${family} ${table} ${chain} ${rules.replaceAll(/packets \d+ bytes \d+/g, '')}`);
      }
    return all.sort();
  }

  repairs(): number {
    return logLines(this.proxy.log(), 'somebody else changed our rules').length;
  }

  async untilRight(jumps: Map<string, number>, chains: readonly string[]): Promise<void> {
    const isRight = async (): Promise<boolean> =>
      sameMap(await this.jumps(), jumps) && (await this.chains()).join() === chains.join();
    await until(isRight, { limitMs: 20_000, everyMs: 200 }).catch(async (error: unknown) => {
      expect(await this.chains()).toEqual(chains);
      expect(await this.jumps()).toEqual(jumps);
      throw error;
    });
  }

  async vipwire(...args: readonly string[]): Promise<string> {
    const [file = '', ...rest] = vipwire;
    return (await this.lab.run('node', file, [...rest, ...args])).stdout;
  }
}

function sameMap(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return a.size === b.size && [...a].every(([key, count]) => b.get(key) === count);
}

describeAsRoot('native nft rules in the tables of iptables', () => {
  describe.each(['insert', 'add'] as const)('put there with nft %s', (where) => {
    const node = new NativeNode();
    let jumps: Map<string, number>;
    let chains: string[];

    beforeAll(async () => {
      await node.setUp(busyObjects);
      await node.startProxy();
      jumps = await node.jumps();
      chains = await node.chains();
      expect(jumps.size).toBeGreaterThan(20);
    }, 120_000);
    afterAll(() => node.stop());

    test('while it runs: nothing of ours is written, and connections go on', async () => {
      const wrong = await node.whileBusy(async () => {
        await node.plant(where);
        await sleep(3000);
      });
      expect(wrong).toEqual([]);
      const { stdout } = await node.lab
        .run('node', 'iptables-nft-save', ['-t', 'filter'])
        .catch(() => ({ stdout: '' }));
      expect(stdout).not.toContain('KUBE-PROXY-FIREWALL -j');
      expect(await node.jumps()).toEqual(jumps);
      expect(await node.chains()).toEqual(chains);
      expect(node.repairs()).toBe(0);
    }, 120_000);

    test('after 20 writes of others there is still one jump of each kind', async () => {
      for (let n = 0; n < 20; n++) {
        await node.nft('add', 'table', 'inet', `other${n}`);
        await sleep(150);
      }
      await sleep(2000);
      expect(await node.jumps()).toEqual(jumps);
      expect(node.repairs()).toBe(0);
    }, 120_000);

    test.each([
      ['a flush of one of our chains', 'flush chain ip nat KUBE-SERVICES'],
      ['a native rule among ours', 'insert rule ip filter KUBE-FORWARD ct state new accept'],
      ['a flush of a table', 'flush table ip nat'],
      ['the same in IPv6', 'flush table ip6 filter'],
    ])(
      '%s is put right',
      async (_, command) => {
        await node.nft(...command.split(' '));
        await sleep(300);
        await node.untilRight(jumps, chains);
        // Others have to put back their own rules after a flush.
        await node.plant(where);
        await sleep(1500);
        expect(await node.jumps()).toEqual(jumps);
        expect(await node.whileBusy(() => sleep(300))).toEqual([]);
      },
      60_000,
    );

    test('a restart takes over: the same variant, the same rules, and no connection is lost', async () => {
      const wrong = await node.whileBusy(async () => {
        for (let n = 0; n < 2; n++) {
          await node.proxy.stop();
          await node.startProxy();
        }
      });
      expect(wrong).toEqual([]);
      expect(node.proxy.log()).not.toContain('variant="legacy"');
      await node.untilRight(jumps, chains);
    }, 180_000);

    test('a change takes effect', async () => {
      const [web, slice, ...others] = busyObjects;
      expect(others.length).toBeGreaterThan(0);
      if (web === undefined || slice === undefined) throw new Error('no objects');
      await node.apply([{ ...slice, endpoints: [] } as typeof slice]);
      expect(await node.chains()).not.toEqual(chains);
      await node.apply([slice]);
      await node.untilRight(jumps, chains);
    }, 120_000);

    test('cleanup removes everything that is ours, and nothing else', async () => {
      await node.proxy.stop();
      await node.vipwire('cleanup');
      expect(await node.jumps()).toEqual(new Map());
      expect(await node.chains()).toEqual([]);
      expect(await node.nft('list', 'chain', 'ip', 'filter', 'INPUT')).toContain('ct state established,related accept');
      expect(await node.nft('list', 'chain', 'ip6', 'nat', 'POSTROUTING')).toContain('masquerade fully-random');
    }, 120_000);

    test('the proxy can start when they are already there', async () => {
      await node.startProxy();
      expect(await node.jumps()).toEqual(jumps);
      expect(await node.chains()).toEqual(chains);
      expect(await node.whileBusy(() => sleep(300))).toEqual([]);
    }, 120_000);
  });
});
