/** Tables with rules that iptables cannot print: read from nf_tables, written by iptables-restore. */
import fc from 'fast-check';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { CommandError, type RunCommand } from '../../src/host/command';
import { NetlinkError, NetlinkUnavailableError } from '../../src/host/netlink';
import { cleanUp } from '../../src/xtables/cleanup';
import { IptablesDriver } from '../../src/xtables/driver';
import type { SavedTables } from '../../src/xtables/parse-save';
import { tableNames } from '../../src/xtables/rules';
import { FakeNfTables } from '../support/fake-nf-tables';
import { clusterIP, endpoint, plan, service, servicePort } from '../support/plans';
import { iptablesSettings } from '../support/settings';

const web = service([
  servicePort('web', { frontends: [clusterIP('10.96.0.10')], clusterEndpoints: [endpoint('10.244.1.2')] }),
]);

interface Tool {
  /** What iptables-nft-save prints in place of what there is, and how it ends. */
  save?: (args: readonly string[]) => string | CommandError;
  /** Whether iptables-nft-restore knows `-S`. */
  showsChains: boolean;
  /** Where the save prints what it does not understand. */
  notesOn: 'stdout' | 'stderr';
}

class Node {
  readonly kernel = new FakeNfTables();
  readonly tool: Tool = { showsChains: true, notesOn: 'stdout' };
  writes = 0;

  constructor() {
    for (const chain of ['INPUT', 'FORWARD', 'OUTPUT']) this.kernel.chain('filter', chain);
    for (const chain of ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING']) this.kernel.chain('nat', chain);
  }

  driver(): IptablesDriver {
    const driver = new IptablesDriver('IPv4', 'nft', this.run, (file, args) => ({ file, args }));
    driver.tables.openNfTables = () => this.kernel;
    return driver;
  }

  /** As a process that has just started. */
  async started(): Promise<IptablesBackend> {
    const backend = new IptablesBackend('IPv4', iptablesSettings, this.driver());
    await backend.read();
    backend.render(plan('IPv4', [web]));
    await this.round(backend);
    return backend;
  }

  /** What is not as it should be is written; true where there was something. */
  async round(backend: IptablesBackend): Promise<boolean> {
    await backend.read();
    const steps = backend.diff();
    if (steps !== undefined) await backend.apply(steps);
    return steps !== undefined;
  }

  /** Jumps and chains of ours, as they should be: found by what a node without native rules has. */
  ownRules(): string[] {
    return [...this.kernel.tables].flatMap(([table, chains]) =>
      [...chains].flatMap(([chain, rules]) =>
        rules
          .filter(({ text }) => chain.startsWith('KUBE-') || / -j KUBE-/.test(` ${text}`))
          .map(({ text }) => `${table} ${chain} ${text}`),
      ),
    );
  }

  private readonly run: RunCommand = (file, args, options = {}) => {
    const fail = (exitCode: number, stderr: string): Promise<never> =>
      Promise.reject(new CommandError(file, { exitCode, stderr, durationMs: 3 }));
    if (file.endsWith('-save')) {
      const printed = this.tool.save?.(args) ?? this.kernel.print();
      if (printed instanceof CommandError) return Promise.reject(printed);
      const isNote = (line: string): boolean => line.startsWith('# Table');
      const lines = printed.split('\n');
      const toErr = this.tool.notesOn === 'stderr';
      for (const line of lines) if (!toErr || !isNote(line)) options.onLine?.(line);
      return Promise.resolve({ stdout: '', stderr: toErr ? lines.filter(isNote).join('\n') : '', durationMs: 1 });
    }
    const input = options.input ?? '';
    if (/^-S /m.test(input)) {
      if (!this.tool.showsChains) return fail(2, "iptables-nft-restore: unknown option '-S'");
      const [, table = ''] = /^\*(\w+)$/m.exec(input) ?? [];
      for (const [, chain = ''] of input.matchAll(/^-S (\S+)$/gm)) {
        const lines = this.kernel.show(table, chain);
        if (lines === undefined)
          return fail(1, `chain \`${chain}' in table \`${table}' is incompatible, use 'nft' tool.`);
        for (const line of lines) options.onLine?.(line);
      }
      return Promise.resolve({ stdout: '', durationMs: 1 });
    }
    this.writes++;
    try {
      this.kernel.restore(input);
      return Promise.resolve({ stdout: '', durationMs: 1 });
    } catch (error) {
      return fail(3, (error as Error).message);
    }
  };
}

/** What a node without native rules has. */
async function rightRules(): Promise<string[]> {
  const node = new Node();
  await node.started();
  return node.ownRules();
}

const sorted = (lines: readonly string[]): string[] => [...lines].sort();

describe.each([true, false])('iptables-nft-restore knows -S: %s', (showsChains) => {
  const makeNode = (): Node => {
    const node = new Node();
    node.tool.showsChains = showsChains;
    return node;
  };

  test.each(['stdout', 'stderr'] as const)('a native rule that comes while it runs (told on %s)', async (notesOn) => {
    const node = makeNode();
    node.tool.notesOn = notesOn;
    const backend = await node.started();
    node.kernel.insert('filter', 'INPUT', 'native ct state established accept', 'first');
    for (let writes = 0; writes < 20; writes++) await node.round(backend);
    expect(sorted(node.ownRules())).toEqual(sorted(await rightRules()));
    expect(node.kernel.textsOf('filter', 'INPUT')).toContain('native ct state established accept');
    // What was written once is known by its handles.
    const before = node.writes;
    for (let looks = 0; looks < 5; looks++) expect(await node.round(backend)).toBe(false);
    expect(node.writes).toBe(before);
  });

  test('any order of foreign writes and restarts ends in the same rules, and then nothing is written', async () => {
    const right = sorted(await rightRules());
    const table = fc.constantFrom('nat', 'filter');
    const events = fc.array(
      fc.oneof(
        fc.record({
          kind: fc.constant('native' as const),
          table,
          of: fc.constantFrom('OUTPUT', 'INPUT', 'KUBE-SERVICES'),
          where: fc.constantFrom('first' as const, 'last' as const),
        }),
        fc.record({
          kind: fc.constantFrom('flush' as const, 'edit' as const, 'double' as const, 'unjump' as const),
          table,
        }),
        fc.record({ kind: fc.constant('restart' as const), table }),
      ),
      { maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(events, async (list) => {
        const node = makeNode();
        let backend = await node.started();
        for (const event of list) {
          const { kernel } = node;
          if (event.kind === 'native') kernel.insert(event.table, event.of, 'native ct state new accept', event.where);
          else if (event.kind === 'flush') kernel.chain(event.table, 'KUBE-SERVICES').splice(0);
          else if (event.kind === 'edit')
            kernel.insert(event.table, 'KUBE-SERVICES', '-d 10.0.0.1/32 -j RETURN', 'first');
          else if (event.kind === 'double') {
            const jump = kernel.textsOf(event.table, 'OUTPUT').find((text) => text.includes('-j KUBE-SERVICES'));
            if (jump !== undefined) kernel.insert(event.table, 'OUTPUT', jump, 'first');
          } else if (event.kind === 'unjump') {
            const rules = kernel.chain(event.table, 'OUTPUT');
            const at = rules.findIndex(({ text }) => text.includes('-j KUBE-SERVICES'));
            if (at >= 0) rules.splice(at, 1);
          } else backend = await node.started();
          await node.round(backend);
        }
        await node.round(backend);
        expect(sorted(node.ownRules())).toEqual(right);
        expect(await node.round(backend)).toBe(false);
      }),
      { numRuns: 40 },
    );
  });

  test('five jumps that an earlier version left become one', async () => {
    const node = makeNode();
    await node.started();
    const [jump = ''] = node.kernel.textsOf('filter', 'FORWARD').filter((text) => text.includes('KUBE-FORWARD'));
    for (let more = 0; more < 4; more++) node.kernel.insert('filter', 'FORWARD', jump, 'first');
    node.kernel.insert('filter', 'FORWARD', 'native ct state established accept', 'first');
    await node.started();
    expect(node.kernel.textsOf('filter', 'FORWARD').filter((text) => text === jump)).toHaveLength(1);
  });

  test('what another proxy left goes: chains, and jumps by their handles', async () => {
    const node = makeNode();
    node.kernel.insert('filter', 'INPUT', 'native ct state established accept', 'first');
    node.kernel.insert('nat', 'OUTPUT', 'native ct state established accept', 'first');
    node.kernel.insert('nat', 'KUBE-SEP-AAAAAAAAAAAAAAAA', '-j DNAT --to-destination 10.244.1.9:80');
    node.kernel.insert('nat', 'KUBE-SVC-AAAAAAAAAAAAAAAA', '-j KUBE-SEP-AAAAAAAAAAAAAAAA');
    node.kernel.insert('filter', 'KUBE-IPVS-FILTER', '-j RETURN');
    node.kernel.insert('filter', 'INPUT', '-m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER');
    await node.started();
    expect(sorted(node.ownRules())).toEqual(sorted(await rightRules()));
    expect([...(node.kernel.tables.get('nat')?.keys() ?? [])]).not.toContain('KUBE-SEP-AAAAAAAAAAAAAAAA');
    expect([...(node.kernel.tables.get('filter')?.keys() ?? [])]).not.toContain('KUBE-IPVS-FILTER');
  });

  test('cleanup removes all that is ours and nothing else', async () => {
    const node = makeNode();
    await node.started();
    for (const table of ['nat', 'filter'])
      for (const chain of ['INPUT', 'OUTPUT']) node.kernel.insert(table, chain, 'native ct state new accept', 'first');
    const { jumps, chains } = await cleanUp(node.driver(), 'IPv4');
    expect(jumps).toBeGreaterThan(10);
    expect(chains).toBeGreaterThan(10);
    expect(node.ownRules()).toEqual([]);
    expect(node.kernel.textsOf('nat', 'OUTPUT')).toEqual(['native ct state new accept']);
  });
});

describe('what iptables-nft-save does not show', () => {
  const nodeWith = async (): Promise<Node> => {
    const node = new Node();
    await node.started();
    return node;
  };
  const read = (node: Node): Promise<SavedTables> => node.driver().save();

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
