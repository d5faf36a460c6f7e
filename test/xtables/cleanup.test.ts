import { IptablesBackend } from '../../src/backends/iptables/backend';
import { cleanUp } from '../../src/xtables/cleanup';
import { formerRules, kubeletChain, readFormer } from '../support/former-rules';
import { FakeIptables } from '../support/fake-iptables';
import { readRecording, recordings } from '../support/kube-proxy-rules';
import { everyKind, plan } from '../support/plans';
import { iptablesSettings } from '../support/settings';

const settings = { ...iptablesSettings, hasBpf: false };
const empty = new FakeIptables().print();

async function proxied(tables = new FakeIptables()): Promise<FakeIptables> {
  const backend = new IptablesBackend('IPv4', settings, tables);
  backend.render(plan('IPv4', everyKind('IPv4')));
  await backend.read();
  await backend.apply(backend.diff() ?? []);
  return tables;
}

const foreign = [
  '*nat',
  ':MINE - [0:0]',
  ':KUBE-SVC - [0:0]',
  '-A MINE -s 10.0.0.0/8 -j MASQUERADE',
  '-A POSTROUTING -m comment --comment "not ours" -j MINE',
  'COMMIT',
  '*mangle',
  ':KUBE-KUBELET-CANARY - [0:0]',
  ':KUBE-IPTABLES-HINT - [0:0]',
  'COMMIT',
  '',
].join('\n');

test('everything of ours goes', async () => {
  const tables = await proxied();
  const report = await cleanUp(tables, 'IPv4');
  expect(tables.print()).toBe(empty);
  expect(report.family).toBe('IPv4');
  expect(report.chains).toBeGreaterThan(100);
  expect(report.jumps).toBe(14);
});

test('and is not there to go a second time', async () => {
  const tables = await proxied();
  await cleanUp(tables, 'IPv4');
  const { length } = tables.inputs;
  expect(await cleanUp(tables, 'IPv4')).toEqual({ family: 'IPv4', chains: 0, jumps: 0, kept: [], left: [] });
  expect(tables.inputs).toHaveLength(length);
});

test.each(recordings)('everything of kube-proxy goes: %s', async (recording) => {
  const tables = new FakeIptables();
  const text = readRecording(recording, 'v4.rules');
  await tables.restore(text.replaceAll(/^:[A-Z]+ ACCEPT.*\n/gm, '').replaceAll(/^#.*\n/gm, ''));
  await cleanUp(tables, 'IPv4');
  expect(tables.print()).toBe(empty);
});

test.each(formerRules)('everything that earlier versions left goes: %s', async (file) => {
  const tables = new FakeIptables();
  await tables.restore(readFormer(file).replaceAll(kubeletChain, ''));
  const { left, kept } = await cleanUp(tables, 'IPv4');
  expect(tables.print()).toBe(empty);
  expect([...left, ...kept]).toEqual([]);
});

test.each(formerRules)('and at a takeover: %s', async (file) => {
  const tables = new FakeIptables();
  await tables.restore(readFormer(file).replaceAll(kubeletChain, ''));
  await proxied(tables);
  const fresh = await proxied();
  const lines = (of: FakeIptables): string[] => of.print().split('\n').sort();
  expect(lines(tables).filter((line) => !/KUBE-FIREWALL/.test(line))).toEqual(
    lines(fresh).filter((line) => !/KUBE-FIREWALL/.test(line)),
  );
});

test('what is kept is named, with the reason', async () => {
  const tables = new FakeIptables();
  await tables.restore(readFormer('iptables-1.23.rules'));
  await tables.restore(
    '*nat\n:MINE - [0:0]\n:KUBE-HOSTPORTS - [0:0]\n-A MINE -j KUBE-MARK-DROP\n-A KUBE-HOSTPORTS -j KUBE-MARK-MASQ\nCOMMIT\n',
  );
  expect(await cleanUp(tables, 'IPv4')).toMatchObject({
    left: [],
    kept: expect.arrayContaining([
      'nat KUBE-MARK-MASQ: the chain KUBE-HOSTPORTS jumps to it, which does not belong to a service proxy',
      'filter KUBE-FIREWALL: the kubelet uses this iptables variant, and this chain too',
      'nat KUBE-MARK-DROP: the chain MINE jumps to it, which does not belong to a service proxy',
      'nat KUBE-HOSTPORTS: it does not belong to a service proxy',
      'mangle KUBE-KUBELET-CANARY: it belongs to the kubelet',
    ]) as unknown,
  });
  expect(tables.tables.get('nat')?.get('KUBE-MARK-DROP')).toHaveLength(1);
});

test('a takeover leaves KUBE-MARK-DROP whole for whoever else drops packets by it', async () => {
  const tables = new FakeIptables();
  await tables.restore(readFormer('iptables-1.23.rules'));
  await tables.restore('*nat\n:MINE - [0:0]\n-A MINE -j KUBE-MARK-DROP\nCOMMIT\n');
  await proxied(tables);
  expect(tables.tables.get('nat')?.get('KUBE-MARK-DROP')).toHaveLength(1);
});

test('what somebody writes again meanwhile is told as left, and not as removed', async () => {
  const tables = await proxied();
  const again = tables.save.bind(tables);
  let reads = 0;
  tables.save = async () => {
    if (++reads === 2) await tables.restore('*nat\n:KUBE-MARK-MASQ - [0:0]\n-A OUTPUT -j KUBE-MARK-MASQ\nCOMMIT\n');
    return again();
  };
  const { chains, jumps, left } = await cleanUp(tables, 'IPv4');
  expect(left).toEqual(['nat KUBE-MARK-MASQ', 'nat OUTPUT -j KUBE-MARK-MASQ']);
  expect(chains).toBeGreaterThan(100);
  expect(jumps).toBe(13);
});

test('what others wrote stays, byte for byte', async () => {
  const tables = new FakeIptables();
  await tables.restore(foreign);
  const before = tables.print();
  await proxied(tables);
  // With the kubelet's chains around, the chain that it shares stays.
  await cleanUp(tables, 'IPv4');
  const left = tables.print().split('\n');
  for (const line of before.split('\n')) expect(left).toContain(line);
  expect(left.filter((line) => line.includes('KUBE-') && !before.includes(line))).toEqual([
    ':KUBE-FIREWALL - [0:0]',
    '-A INPUT -j KUBE-FIREWALL',
    '-A OUTPUT -j KUBE-FIREWALL',
    expect.stringMatching(/^-A KUBE-FIREWALL .*"block incoming localnet connections"/),
  ]);
});

test('where all that is left is shared with the kubelet, there is nothing to remove', async () => {
  const tables = await proxied();
  await tables.restore(foreign);
  await cleanUp(tables, 'IPv4');
  expect(await cleanUp(tables, 'IPv4')).toMatchObject({ chains: 0, jumps: 0, left: [] });
});

test('a chain that others jump to stays, with all that it leads to, and the rest goes', async () => {
  const tables = await proxied();
  const nat = tables.tables.get('nat') ?? new Map<string, string[]>();
  const external = [...nat.keys()].find((chain) => chain.startsWith('KUBE-EXT-')) ?? '';
  await tables.restore(`*nat\n:MINE - [0:0]\n-A MINE -d 203.0.113.200/32 -j ${external}\nCOMMIT\n`);
  const rules = nat.get(external);
  await cleanUp(tables, 'IPv4');
  const left = tables.tables.get('nat') ?? new Map<string, string[]>();
  expect(left.get(external)).toEqual(rules);
  expect([...left.keys()].filter((chain) => chain.startsWith('KUBE-')).sort()).toEqual(
    [external, external.replace('EXT', 'SVC'), 'KUBE-MARK-MASQ'].sort(),
  );
  expect([...(tables.tables.get('filter')?.keys() ?? [])]).toEqual(['INPUT', 'FORWARD', 'OUTPUT']);
});

test('jumps go before the chains that they lead to: no packet meets half of the rules', async () => {
  const tables = await proxied();
  tables.inputs.length = 0;
  await cleanUp(tables, 'IPv4');
  for (const table of ['nat', 'filter']) {
    const of = tables.inputs.filter((input) => input.startsWith(`*${table}\n`));
    expect(of[0]).toMatch(/^\*\w+\n(-D [A-Z]+ .*\n)+COMMIT\n$/);
    expect(of.slice(1).join('')).not.toContain('\n-D ');
  }
});

test('a clean-up that stopped half way is taken up again', async () => {
  for (let calls = 0; ; calls++) {
    const tables = await proxied();
    let left = calls;
    tables.beforeCommit = () => {
      if (left-- === 0) throw new Error('killed');
    };
    const killed = await cleanUp(tables, 'IPv4').then(
      () => false,
      () => true,
    );
    if (!killed) break;
    expect(calls).toBeLessThan(20);
    tables.beforeCommit = undefined;
    await cleanUp(tables, 'IPv4');
    expect(tables.print()).toBe(empty);
  }
});
