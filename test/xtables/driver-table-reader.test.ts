import { CommandError, type RunCommand } from '../../src/host/command';
import { NetlinkError, NetlinkUnavailableError } from '../../src/host/netlink';
import { IptablesDriver } from '../../src/xtables/driver';
import type { SavedTables } from '../../src/xtables/parse-save';
import { tableNames } from '../../src/xtables/rules';
import { NativeNode } from './native-node';

describe('what iptables-nft-save does not show', () => {
  const nodeWith = async (): Promise<NativeNode> => {
    const node = new NativeNode();
    await node.started();
    return node;
  };
  const read = (node: NativeNode): Promise<SavedTables> => node.driver().save();

  test.each<[string, (whole: string) => string]>([
    ['nothing at all', () => ''],
    ['one table of two', (whole) => whole.slice(whole.indexOf('*nat'))],
    ['half of the last table', (whole) => whole.slice(0, -80)],
    ['words that nobody knows', (whole) => whole.replace('COMMIT', 'what is this')],
  ])('%s, with exit code 0: it is read from nf_tables', async (_, damage) => {
    const node = await nodeWith();
    const whole = await read(node);
    node.tool.save = () => damage(node.kernel.print());
    const saved = await read(node);
    expect(saved.unread.size).toBeGreaterThan(0);
    for (const table of tableNames) expect(saved.chains[table]).toEqual(whole.chains[table]);
    expect(saved.jumps.map(({ rule }) => rule).sort()).toEqual(whole.jumps.map(({ rule }) => rule).sort());
  });

  test('a tool that fails at a rule: the tables behind it are asked for one by one', async () => {
    const node = await nodeWith();
    const whole = await read(node);
    node.tool.save = (args) =>
      args.includes('nat')
        ? node.kernel.print().replace(/[^]*(?=\*nat)/, '')
        : new CommandError('iptables-nft-save', {
            exitCode: 3,
            stderr: 'Error: unknown ipv4 meta key\nParsing nftables rule failed',
            durationMs: 9,
          });
    const saved = await read(node);
    expect([...saved.unread]).toEqual([
      ['filter', 'iptables-nft-save: exit 3: Error: unknown ipv4 meta key Parsing nftables rule failed'],
    ]);
    expect(saved.chains.nat).toEqual(whole.chains.nat);
  });

  test.each([
    [
      'has no right',
      new CommandError('x', { exitCode: 4, stderr: 'Permission denied (you must be root)', durationMs: 1 }),
    ],
    ['was killed', new CommandError('x', { exitCode: undefined, stderr: '', durationMs: 1 })],
    ['is not there', new CommandError('x', { exitCode: undefined, stderr: '', durationMs: 1, notFound: true })],
  ])('a tool that %s is no answer', async (_, error) => {
    const node = await nodeWith();
    node.tool.save = () => error;
    await expect(read(node)).rejects.toBe(error);
  });

  test('nf_tables that cannot be read either is no answer, and never an empty table', async () => {
    const node = await nodeWith();
    node.kernel.insert('filter', 'INPUT', 'native ct state established accept');
    node.kernel.failures.push(new NetlinkError('EPERM', 1));
    await expect(read(node)).rejects.toThrow(/cannot tell what table filter .*incompatible.*EPERM/);
    node.kernel.failures.push(new NetlinkUnavailableError('no addon'));
    await expect(read(node)).rejects.toThrow(/cannot tell what table filter/);
  });

  test('base chains that are left out and lead to ours: those chains are used by others', async () => {
    const node = await nodeWith();
    node.kernel.insert('filter', 'mine', '-j KUBE-FORWARD');
    node.tool.save = () =>
      `# Table \`filter' contains incompatible base-chains, use 'nft' tool to list them.\n${node.kernel
        .print()
        .replace(/^.*mine.*\n/gm, '')}`;
    const saved = await read(node);
    expect(saved.unread.size).toBe(0);
    expect([...saved.usedByOthers]).toEqual(['KUBE-FORWARD']);
  });

  test('legacy: a table that the kernel names and the tool does not show is no empty one', async () => {
    const run: RunCommand = (_, __, options) => {
      options?.onLine?.('*nat');
      options?.onLine?.('COMMIT');
      return Promise.resolve({ stdout: '', durationMs: 1 });
    };
    const driver = new IptablesDriver('IPv4', 'legacy', run, (file, args) => ({ file, args }));
    driver.tables.readLegacyNames = () => Promise.resolve(['filter', 'nat']);
    await expect(driver.save()).rejects.toThrow(/cannot tell what table filter/);
    driver.tables.readLegacyNames = () => Promise.resolve(['nat']);
    expect((await driver.save()).unread.size).toBe(0);
  });
});
