/** kube-proxy comes back, in nftables mode, to a node that vipwire leaves in nftables mode. */
import { NftablesBackend } from '../../src/backends/nftables/backend';
import type { NftKernel } from '../../src/backends/nftables/objects';
import { families } from '../../src/model/address';
import { PlannedCluster } from '../conformance/planned-cluster';
import { type NftFamily, nftFamilies, recordedCluster, transactionsOf } from '../support/kube-proxy-nftables';
import { Lab } from '../support/lab/lab';
import type { Place } from '../support/lab/topology';
import { describeAsRoot } from '../support/network-namespace';

/** What a client gets: the pods that answer, or how it fails. The columns are: under vipwire and after kube-proxy's start; at its end. */
const flows: readonly (readonly [from: Place, to: string, port: number, start: string, end: string])[] = [
  ['b', '10.96.0.10', 80, 'a d', 'a b d'],
  ['b', 'fd96::a', 80, 'a d', 'a b d'],
  ['ext', '192.168.88.10', 30080, 'a d', 'a b d'],
  ['ext', 'fd88::10', 30080, 'a d', 'a b d'],
  ['ext', '203.0.113.14', 80, 'a', 'a'],
  ['ext', '2001:db8:1::14', 80, 'a', 'a'],
  ['b', '203.0.113.14', 80, 'a d', 'a d'],
  ['ext', '203.0.113.13', 443, 'a d', 'none'],
  ['b', '203.0.113.13', 443, 'timeout', 'none'],
  ['ext', '192.168.88.10', 30443, 'a d', 'refused'],
  ['ext', '192.168.88.10', 30082, 'timeout', 'timeout'],
  ['b', '10.96.0.16', 80, 'refused', 'd'],
  ['b', 'fd96::10', 80, 'refused', 'd'],
  ['b', '10.96.0.12', 80, 'one', 'timeout'],
  ['b', 'fd96::c', 80, 'one', 'timeout'],
  ['b', '10.96.0.11', 53, 'd', 'd'],
];
/** Those that no step of kube-proxy may hurt. */
const unhurt = flows.filter(([, , , start, end]) => /^[a-d]/.test(start) && /^[a-d]/.test(end));

describeAsRoot('the way back to kube-proxy in nftables mode', () => {
  const lab = new Lab();
  afterAll(() => lab.stop());

  const nft = async (place: Place, args: readonly string[], input?: string): Promise<string> =>
    (await lab.run(place, 'nft', args, input)).stdout;

  async function outcomes(time: 'start' | 'end'): Promise<readonly string[]> {
    return Promise.all(
      flows.map(async ([from, to, port, start, end]) => {
        const count = 24;
        const answers = await lab.probe(from, { to, port, count, timeoutMs: 2000, parallel: 6 });
        const seen = [...new Set(answers.map((each) => (each.outcome === 'ok' ? each.pod : each.outcome)))].sort();
        const wanted = time === 'start' ? start : end;
        const isRight =
          wanted === 'one'
            ? seen.length === 1 && /^[ad]$/.test(seen[0] ?? '')
            : wanted === 'none'
              ? answers.every(({ outcome }) => outcome !== 'ok')
              : seen.join(' ') === wanted;
        return isRight ? '' : `${from} -> ${to} ${port}: ${seen.join(' ')}, not ${wanted}`;
      }),
    ).then((wrong) => wrong.filter((each) => each !== ''));
  }

  /** Every base chain of a namespace with its rules, as nft prints them. */
  async function baseChains(place: Place): Promise<readonly string[]> {
    const chains =
      (await nft(place, ['list', 'ruleset'])).match(/^table \S+ \S+|^\tchain .*\{\n(?:\t\t.*\n)*?\t\}/gm) ?? [];
    let table = '';
    return chains.flatMap((text) => {
      if (text.startsWith('table')) table = text;
      return text.includes(' hook ') ? `${table} ${text}` : [];
    });
  }

  test('its transactions go through, no connection fails, and then its rules alone decide', async () => {
    await lab.start();
    for (const text of await printOurs()) await nft('node', ['-f', '-'], text);
    expect(await outcomes('start')).toEqual([]);
    const ours = await baseChains('node');

    // What kube-proxy asks for at every sync.
    for (const family of nftFamilies)
      JSON.parse(await nft('node', ['--json', '--terse', 'list', 'table', family, 'kube-proxy']));

    const steady = await Promise.all(
      unhurt.map(([from, to, port]) => lab.steady(from, { to, port, perSecond: 40, timeoutMs: 8000 })),
    );
    for (const family of nftFamilies) await apply('node', family, 'start');
    const wrongAtStart = await outcomes('start');
    for (const family of nftFamilies) await apply('node', family, 'later');
    const reports = await Promise.all(steady.map((client) => client.stop()));
    expect(reports.flatMap(({ failures }) => failures)).toEqual([]);
    expect(wrongAtStart).toEqual([]);
    expect(await outcomes('end')).toEqual([]);

    // The same on a node that never had a table of ours.
    for (const family of nftFamilies) for (const part of ['start', 'later'] as const) await apply('ext', family, part);
    const after = await baseChains('node');
    expect(after).toEqual(await baseChains('ext'));
    expect(after).toHaveLength(16);
    expect(after).not.toEqual(ours);
  }, 120_000);

  async function apply(place: Place, family: NftFamily, part: 'start' | 'later'): Promise<void> {
    const [start, ...later] = transactionsOf(family);
    if (start === undefined) throw new Error('there is a first transaction');
    for (const { text } of part === 'start' ? [start] : later) await nft(place, ['-f', '-'], text);
  }
});

/** Our tables for the cluster that kube-proxy found at its start: each text is a transaction. */
async function printOurs(): Promise<readonly string[]> {
  const cluster = new PlannedCluster({ nodePortAddresses: ['primary'] }, ['192.168.88.10', 'fd88::10']);
  cluster.apply(recordedCluster());
  const steps = families.map(async (family) => {
    const backend = new NftablesBackend(family, { masqueradeMark: 0x4000 }, empty);
    backend.render(cluster.plans[family]);
    await backend.read();
    return (backend.diff() ?? []).map((step) => backend.print([step]));
  });
  return (await Promise.all(steps)).flat();
}

/** A kernel without a table of ours. */
const empty: NftKernel = {
  canRead: true,
  read: () => Promise.resolve(undefined),
  readObjects: () => Promise.resolve(undefined),
  write: () => Promise.reject(new Error('nothing is written')),
  close: () => undefined,
};
