/** Histories of a dispatch tree. Each change goes to tables that refuse what the kernel would refuse. */
import fc from 'fast-check';
import type { DispatchEntry } from '../../../../src/backends/iptables/dispatch/keys';
import {
  type ChangedChains,
  type DispatchOptions,
  DispatchTree,
} from '../../../../src/backends/iptables/dispatch/tree';
import { families, type Family } from '../../../../src/model/address';
import { printStep } from '../../../../src/xtables/rules';
import { FakeIptables } from '../../../support/fake-iptables';

const kinds = ['destination', 'port', 'hairpin'] as const;

function optionsOf(family: Family, by: DispatchOptions['by']): DispatchOptions {
  return { family, by, root: 'KUBE-SERVICES', prefix: 'KUBE-SVC-' };
}

/** One call of the tool, as the backend makes it. */
async function write(tables: FakeIptables, changed: ChangedChains): Promise<void> {
  const chains: [string, string][] = [];
  const deletions: string[] = [];
  for (const [chain, rules] of changed)
    if (rules === undefined) deletions.push(chain);
    else chains.push([chain, rules.map((rule) => `-A ${chain} ${rule}`).join('\n')]);
  const step = { table: 'nat', chains, deletions, appends: [], jumps: [] } as const;
  await tables.restore(printStep({ title: 'all', tables: [step] }));
}

function chainsOf(tables: FakeIptables): Map<string, readonly string[]> {
  const chains = tables.tables.get('nat') ?? new Map<string, string[]>();
  return new Map([...chains].filter(([chain]) => chain.startsWith('KUBE-')).sort());
}

function fresh(options: DispatchOptions, entries: readonly DispatchEntry[]): Map<string, readonly string[]> {
  const chains = [...new DispatchTree(options).update([], entries)];
  return new Map(chains.map(([chain, rules]) => [chain, rules ?? []] as const).sort());
}

/** A Service: one address and its ports. */
interface Claimant {
  readonly address: number;
  readonly ports: readonly number[];
  readonly isUDP: boolean;
}

function entriesOf({ address, ports, isUDP }: Claimant, owner: number, options: DispatchOptions): DispatchEntry[] {
  const [high, low] = [address >> 8, address & 255];
  const text = options.family === 'IPv4' ? `10.96.${high}.${low}` : `fd96::${high.toString(16)}:${low.toString(16)}`;
  return ports.map((port) => ({
    address: options.by === 'port' ? '' : text,
    protocol: isUDP ? 'UDP' : 'TCP',
    port,
    owner: `s${owner}:${port}`,
    comment: '',
    action: `-j DNAT --to-destination s${owner}:${port}`,
  }));
}

const claimantArb: fc.Arbitrary<Claimant> = fc.record({
  // Addresses are near each other, so that the tree branches late, or anywhere.
  address: fc.oneof(fc.nat(63), fc.nat(63), fc.nat(65535)),
  ports: fc.oneof(
    { weight: 3, arbitrary: fc.constant([80]) },
    { weight: 1, arbitrary: fc.uniqueArray(fc.integer({ min: 1, max: 65535 }), { minLength: 10, maxLength: 40 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 40 }).map((n) => Array.from({ length: n }, (_, i) => 8000 + i)) },
  ),
  isUDP: fc.boolean(),
});

/** The Services that are added or removed in each round: a few, or most. */
const historyArb = fc.array(claimantArb, { minLength: 8, maxLength: 60 }).chain((claimants) => {
  const all = claimants.map((_, i) => i);
  const round = fc.oneof(
    fc.subarray(all, { maxLength: 3 }),
    fc.subarray(all, { minLength: Math.floor(all.length / 2) }),
    fc.subarray(all),
  );
  return fc.record({ claimants: fc.constant(claimants), rounds: fc.array(round, { maxLength: 8 }) });
});

test.each(families.flatMap((family) => kinds.map((by) => [family, by] as const)))(
  '%s, by %s: the kernel takes every change of the tree, and has what a tree from nothing has',
  async (family, by) => {
    const options = optionsOf(family, by);
    await fc.assert(
      fc.asyncProperty(historyArb, async ({ claimants, rounds }) => {
        const tree = new DispatchTree(options);
        const tables = new FakeIptables();
        const present = new Map<number, DispatchEntry[]>();
        for (const toggled of rounds) {
          const removed: DispatchEntry[] = [];
          const added: DispatchEntry[] = [];
          for (const i of toggled) {
            const entries = entriesOf(claimants[i] as Claimant, i, options);
            if (present.delete(i)) removed.push(...entries);
            else {
              present.set(i, entries);
              added.push(...entries);
            }
          }
          await write(tables, tree.update(removed, added));
          expect(chainsOf(tables)).toEqual(fresh(options, [...present.values()].flat()));
        }
      }),
      { numRuns: 60 },
    );
  },
  60_000,
);

test('a Service of many ports, and then many Services at once', async () => {
  const options = optionsOf('IPv4', 'destination');
  const ports = [23873, 44916, 53262, 3168, 47351, 40149, 24220, 20994, 33401, 55072, 27197, 18404, 32877, 30049];
  const big = { address: 1, ports: [...ports, 19171, 43265, 24167], isUDP: false };
  const others = [21, 43, 35, 6, 19, 47, 59].map((address) => ({ address, ports: [80], isUDP: false }));
  const tables = new FakeIptables();
  const tree = new DispatchTree(options);
  const bigEntries = [
    ...entriesOf(big, 0, options),
    ...entriesOf({ address: 1, ports: [11024], isUDP: true }, 1, options),
  ];
  const otherEntries = others.flatMap((one, i) => entriesOf(one, i + 2, options));
  await write(tables, tree.update([], bigEntries));
  await write(tables, tree.update([], otherEntries));
  expect(chainsOf(tables)).toEqual(fresh(options, [...bigEntries, ...otherEntries]));
});

test('one entry among 50,000 renders the few chains on its path, and looks at no other entry', () => {
  const options = optionsOf('IPv4', 'destination');
  let looks = 0;
  const watched = (entry: DispatchEntry): DispatchEntry => ({
    ...entry,
    get comment() {
      looks++;
      return entry.comment;
    },
  });
  const entries = Array.from({ length: 50_000 }, (_, i) =>
    entriesOf({ address: i, ports: [80], isUDP: false }, i, options).map(watched),
  ).flat();
  const tree = new DispatchTree(options);
  tree.update([], entries);
  looks = 0;
  const one = entriesOf({ address: 31_234, ports: [443], isUDP: false }, 99_999, options);
  for (const changed of [tree.update([], one), tree.update(one, [])]) expect(changed.size).toBeLessThanOrEqual(12);
  expect(looks).toBeLessThanOrEqual(2 * 16 * 4);
});
