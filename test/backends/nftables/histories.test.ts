/** Changes of plans on a table in memory: what is written, what clients reach after each transaction, and what a new process finds. */
import fc from 'fast-check';
import { NftablesBackend } from '../../../src/backends/nftables/backend';
import { setNames } from '../../../src/backends/nftables/names';
import { readBalances } from '../../../src/backends/nftables/shared-chains';
import { families, type Family } from '../../../src/model/address';
import { ClusterStore } from '../../../src/model/cluster-store';
import type { Plan } from '../../../src/planner/plan';
import { planCluster } from '../../../src/planner/plan-cluster';
import { historyArb } from '../../support/cluster-arbitraries';
import { largeHistoryArb } from '../../support/large-histories';
import { everyKind, plan, planDifference } from '../../support/plans';
import { makeSettings } from '../../support/settings';
import { InMemoryTable } from './in-memory';

const settings = { masqueradeMark: 0x4000 };

/** The endpoints of each frontend that new connections may get, or 'refused' if they are rejected or dropped. */
type Reached = ReadonlyMap<string, ReadonlySet<string>>;

const ways = [
  [setNames.vips, setNames.endpoints, setNames.localEndpoints, setNames.refusedVips],
  [setNames.nodePorts, setNames.nodePortEndpoints, setNames.localNodePortEndpoints, setNames.refusedNodePorts],
] as const;

function whatIsReached({ table }: InMemoryTable): Reached {
  const reached = new Map<string, Set<string>>();
  const elementsOf = (set: string): ReadonlyMap<string, string> =>
    table?.sets.get(set)?.elements ?? new Map<string, string>();
  for (const [leads, main, local, refused] of ways) {
    for (const [key, value] of elementsOf(leads)) {
      const { main: ofMain, local: ofLocal } = readBalances(/^goto (\S+)/.exec(value)?.[1] ?? '') ?? {};
      const slots = (map: string, count = 0): string[] =>
        Array.from({ length: count }, (_, slot) => elementsOf(map).get(`${key} . ${slot}`) ?? 'nothing');
      reached.set(
        key,
        new Set([...slots(main, ofMain?.slots), ...slots(local, ofLocal?.slots).map((one) => `here: ${one}`)]),
      );
    }
    for (const key of elementsOf(refused).keys()) reached.set(key, (reached.get(key) ?? new Set()).add('refused'));
  }
  return reached;
}

const isForwarded = (of: ReadonlySet<string> | undefined): boolean =>
  of !== undefined && !of.has('refused') && of.size > 0;

function findFaults(before: Reached, now: Reached, after: Reached): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((key) => {
    const [old, at, next] = [before, now, after].map((one) => one.get(key) ?? new Set<string>());
    const strangers = [...(at ?? [])].filter((one) => old?.has(one) !== true && next?.has(one) !== true);
    const isLost = isForwarded(old) && isForwarded(next) && !isForwarded(at);
    return [...strangers.map((one) => `${key}: ${one}`), ...(isLost ? [`${key} is lost`] : [])];
  });
}

async function goThrough(family: Family, plans: readonly Plan[]): Promise<void> {
  const kernel = new InMemoryTable(family);
  const backend = new NftablesBackend(family, settings, kernel);
  await backend.read();
  let last: Plan | undefined;
  for (const next of plans) {
    if (last === undefined) backend.render(next);
    else backend.renderChanges(next, planDifference(last, next));
    last = next;
    const before = whatIsReached(kernel);
    const moments: Reached[] = [];
    kernel.afterWrite = () => moments.push(whatIsReached(kernel));
    await backend.apply(backend.diff() ?? []);
    const after = whatIsReached(kernel);
    expect(moments.flatMap((now) => findFaults(before, now, after))).toEqual([]);
    expect(backend.diff()).toBeUndefined();
    await expectNothingToWrite(kernel, next);
    expect([...after].filter(([, of]) => of.has('nothing') || of.has('here: nothing'))).toEqual([]);
  }
}

/** A process that just started finds everything as it should be. */
async function expectNothingToWrite(kernel: InMemoryTable, last: Plan): Promise<void> {
  const fresh = new NftablesBackend(kernel.family, settings, kernel);
  await fresh.read();
  fresh.render(last);
  const steps = fresh.diff() ?? [];
  expect(fresh.print(steps)).toBe('');
}

const plansOf = (family: Family, history: Parameters<ClusterStore['apply']>[0][]): Plan[] => {
  const store = new ClusterStore(0);
  return history.map((changes) => {
    store.apply(changes);
    return planCluster(store, family, makeSettings({}));
  });
};

test.each(families)('%s, histories of a cluster', async (family) => {
  await fc.assert(
    fc.asyncProperty(historyArb, (history) => goThrough(family, plansOf(family, history))),
    { numRuns: 60 },
  );
});

test.each(families)('%s, long lists of endpoints, that need many transactions', async (family) => {
  await fc.assert(
    fc.asyncProperty(largeHistoryArb, (history) => goThrough(family, plansOf(family, history))),
    { numRuns: 4 },
  );
});

test.each(families)('%s, every kind of Service comes and goes', async (family) => {
  const all = everyKind(family);
  const some = all.filter((_, i) => i % 3 !== 0);
  await goThrough(family, [plan(family, all), plan(family, some), plan(family, []), plan(family, some)]);
});
