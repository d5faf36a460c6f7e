/** Tables with rules that iptables cannot print: read from nf_tables, written by iptables-restore. */
import fc from 'fast-check';
import { cleanUp } from '../../src/xtables/cleanup';
import { NativeNode } from './native-node';

/** What a node without native rules has. */
async function rightRules(): Promise<string[]> {
  const node = new NativeNode();
  await node.started();
  return node.ownRules();
}

const sorted = (lines: readonly string[]): string[] => [...lines].sort();

describe.each([true, false])('iptables-nft-restore knows -S: %s', (showsChains) => {
  const makeNode = (): NativeNode => {
    const node = new NativeNode();
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
