import { comparePlan } from '../../src/compare/compare-plan';
import type { Aspect } from '../../src/compare/difference';
import { parseKernel } from '../../src/compare/parse-kernel';
import { families } from '../../src/model/address';
import { planFaults } from './plan-faults';
import { planRecording, readRecordings, textsOf } from './recordings';

const aspects: readonly Aspect[] = [
  'frontend',
  'endpoint',
  'share',
  'policy',
  'masquerade',
  'source ranges',
  'affinity',
  'verdict',
];

describe.each(['iptables', 'ipvs', 'nftables'] as const)('%s', (mode) => {
  test('every fault of every recording is found, by its name', () => {
    const tried = new Map<string, number>();
    const missed: string[] = [];
    for (const recording of readRecordings(mode))
      for (const family of families) {
        const right = planRecording(recording, mode, family);
        const parsed = parseKernel(textsOf(recording, mode, family), right);
        if (parsed === undefined) throw new Error(`${recording.name} has nothing of ${family}`);
        for (const { aspect, change, plan } of planFaults(right)) {
          tried.set(aspect, (tried.get(aspect) ?? 0) + 1);
          const { differences } = comparePlan(plan, parsed.kernel, parsed);
          const found = differences.filter((one) => one.known === undefined);
          if (!found.some((one) => one.aspect === aspect && one.change === change))
            missed.push(
              `${recording.name} ${family} ${aspect} ${change}: ${found.map((one) => `${one.aspect} ${one.change} ${one.frontend} ${one.expected} ${one.observed}`).join('; ')}`,
            );
        }
      }
    expect(missed).toEqual([]);
    expect(aspects.filter((aspect) => (tried.get(aspect) ?? 0) < 5)).toEqual([]);
  });
});
