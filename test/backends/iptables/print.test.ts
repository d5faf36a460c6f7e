import { printListing } from '../../../src/backends/iptables/print';
import { RuleSet } from '../../../src/backends/iptables/desired-state';
import type { Family } from '../../../src/model/address';
import type { ServicePlan } from '../../../src/planner/plan';
import { FakeIptables } from '../../support/fake-iptables';
import { everyKind, plan } from '../../support/plans';
import { iptablesSettings } from '../../support/settings';

function list(services: readonly ServicePlan[], family: Family = 'IPv4'): string {
  const rules = new RuleSet(family, iptablesSettings);
  const of = plan(family, services);
  rules.render(of);
  return printListing(rules, of);
}

function withoutComments(text: string): string {
  return text.replaceAll(/^#.*\n/gm, '');
}

test.each(['IPv4', 'IPv6'] as const)(
  '%s: it is input of iptables-restore, and says all that would be written',
  async (family) => {
    const text = list(everyKind(family), family);
    const tables = new FakeIptables();
    await tables.restore(withoutComments(text));
    const rules = new RuleSet(family, iptablesSettings);
    rules.render(plan(family, everyKind(family)));
    for (const table of ['nat', 'filter'] as const)
      for (const [chain, lines] of rules.tables[table].desiredEntries())
        expect((tables.tables.get(table)?.get(chain) ?? []).map((rule) => `-A ${chain} ${rule}`).join('\n')).toBe(
          lines,
        );
    for (const { table, from, rule } of rules.jumps) expect(tables.tables.get(table)?.get(from)).toContain(rule);
  },
);

test('the order of Services does not matter', () => {
  const services = everyKind('IPv4');
  expect(list([...services].reverse())).toBe(list(services));
});

test('each Service has a comment of its own, in order, with aligned columns', () => {
  const services = everyKind('IPv4');
  const comments = list(services).match(/^# default\/.*$/gm) ?? [];
  expect(comments).toHaveLength(services.length);
  const names = comments.map((line) => /^# (\S+)/.exec(line)?.[1] ?? '');
  expect(names).toEqual([...names].sort());
  const columns = new Set(comments.map((line) => line.search(/(ClusterIP|LoadBalancer|NodePort) /)));
  expect(columns.size).toBe(1);
});

test("a Service's rules follow its comment", () => {
  const lines = list(everyKind('IPv4')).split('\n');
  const at = lines.findIndex((line) => line.startsWith('# default/plain '));
  expect(lines[at]).toMatch(/^# default\/plain +3 endpoints +ClusterIP 10\.96\.0\.10:80\/tcp$/);
  const next = lines.slice(at + 1).findIndex((line) => line.startsWith('#'));
  const rules = lines.slice(at + 1, at + 1 + next);
  expect(rules).toHaveLength(4);
  expect(new Set(rules.map((rule) => rule.split(' ')[1])).size).toBe(1);
});

test('without Services the fixed chains are left', () => {
  const text = list([]);
  expect(text).not.toMatch(/KUBE-(SVC|SVL|FW|SEP)-/);
  expect(text.match(/^\*\S+|^COMMIT/gm)).toEqual(['*nat', 'COMMIT', '*filter', 'COMMIT']);
});
