/** What is said where iptables-save does not show a table: by diff and compare, in text, JSON and exit codes. */
import { diffIptables } from '../../src/diff/diff-iptables';
import { diffExitCode } from '../../src/diff/kernel-diff';
import { printDiff, printSummaryOfDiff } from '../../src/diff/print-diff';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { SaveParser, type SavedTables } from '../../src/xtables/parse-save';
import type { UnreadTable } from '../../src/xtables/save-text';
import { comparisonExitCode, comparisonJson, printComparison } from '../../src/compare/print-comparison';
import { FakeIptables } from '../support/fake-iptables';
import { clusterIP, endpoint, plan, service, servicePort } from '../support/plans';
import { iptablesSettings } from '../support/settings';

const wanted = plan('IPv4', [
  service([servicePort('web', { frontends: [clusterIP('10.96.0.10')], clusterEndpoints: [endpoint('10.244.1.2')] })]),
]);
const hidden: UnreadTable = {
  table: 'filter',
  reason: "Table `filter' is incompatible, use 'nft' tool.",
  isKnown: false,
};

async function saved(damage: (text: string) => string = (text) => text): Promise<SavedTables> {
  const tables = new FakeIptables();
  const backend = new IptablesBackend('IPv4', iptablesSettings, tables);
  await backend.read();
  backend.render(wanted);
  await backend.apply(backend.diff() ?? []);
  const parser = new SaveParser();
  for (const line of damage(tables.print()).split('\n')) parser.line(line);
  return parser.result();
}
const withoutFilter = (text: string): string => text.replace(/\*filter[^]*?COMMIT/, '');

test('diff: a table that is not shown is not compared, and the exit code says that it cannot tell', async () => {
  const diff = diffIptables(wanted, { saved: await saved(withoutFilter), unread: [hidden] }, iptablesSettings, 'node');
  expect(diff.differences).toEqual([]);
  expect(diff.unread).toEqual([hidden]);
  expect(diffExitCode([diff])).toBe(2);
  for (const print of [printDiff, printSummaryOfDiff]) {
    expect(print(diff)).toContain('no difference seen');
    expect(print(diff)).toContain("ip filter cannot be read in full: Table `filter' is incompatible, use 'nft' tool");
    expect(print(diff)).toContain('it was not compared');
  }
});

test('diff: a difference in the rest counts', async () => {
  const flushed = (text: string): string => withoutFilter(text).replace(/^-A KUBE-MARK-MASQ.*\n/m, '');
  const diff = diffIptables(wanted, { saved: await saved(flushed), unread: [hidden] }, iptablesSettings, 'node');
  expect(diff.differences).toHaveLength(1);
  expect(diffExitCode([diff])).toBe(1);
});

test('diff: a table that was read in another way is compared like any other', async () => {
  const known = { ...hidden, isKnown: true };
  const diff = diffIptables(wanted, { saved: await saved(), unread: [known] }, iptablesSettings, 'node');
  expect(diffExitCode([diff])).toBe(0);
  expect(printDiff(diff)).toContain('as it should be');
  const gone = diffIptables(wanted, { saved: await saved(withoutFilter), unread: [known] }, iptablesSettings, 'node');
  expect(diffExitCode([gone])).toBe(1);
});

test('compare: the same', () => {
  const comparison = { services: 1, frontends: 1, differences: [], undecided: [] };
  const node = { family: 'IPv4', nodeName: 'node', mode: 'iptables', hasRules: true, comparison } as const;
  expect(comparisonExitCode([{ ...node, unread: [hidden] }])).toBe(2);
  expect(comparisonExitCode([{ ...node, unread: [{ ...hidden, isKnown: true }] }])).toBe(0);
  expect(comparisonExitCode([{ ...node, unread: [] }])).toBe(0);
  expect(comparisonJson({ ...node, unread: [hidden] })).toMatchObject({ unread: [hidden] });
  expect(printComparison({ ...node, unread: [hidden] })).toContain('its rules are unknown');
});
