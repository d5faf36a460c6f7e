import fc from 'fast-check';
import { RuleSet } from '../../../src/backends/iptables/desired-state';
import type { ServiceKey } from '../../../src/model/cluster';
import type { NodeSettings, ServicePlan } from '../../../src/planner/plan';
import { applyPlanChanges } from '../../../src/planner/plan-changes';
import { isOurChain } from '../../../src/xtables/known-chains';
import { countLines, tableNames } from '../../../src/xtables/rules';
import { clusterIP, endpoint, everyKind, plan, service, servicePort } from '../../support/plans';
import { iptablesSettings } from '../../support/settings';

function rendered(
  services: readonly ServicePlan[],
  over: Partial<NodeSettings> = {},
  facts = iptablesSettings,
): RuleSet {
  const rules = new RuleSet('IPv4', facts);
  rules.render(plan('IPv4', services, over));
  return rules;
}

function desired(rules: RuleSet): Record<string, Map<string, string>> {
  return Object.fromEntries(
    tableNames.map((table) => [table, new Map([...rules.tables[table].desiredEntries()].sort())]),
  );
}

function chain(rules: RuleSet, table: 'nat' | 'filter', name: string): string[] {
  return (rules.tables[table].getDesired(name) ?? '').split('\n').filter((line) => line !== '');
}

const kinds = everyKind('IPv4');

test.each([true, false])(
  'any changes end in what a render from nothing gives, and counts are right (xt_bpf %p)',
  (hasBpf) => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.nat(kinds.length - 1), { maxLength: 10 }), { maxLength: 6 }), (rounds) => {
        const facts = { ...iptablesSettings, hasBpf };
        const rules = rendered([], {}, facts);
        const current = plan('IPv4', []);
        for (const toggles of rounds) {
          const changes = new Map<ServiceKey, ServicePlan | undefined>();
          for (const kind of toggles.flatMap((at) => kinds[at] ?? []))
            changes.set(kind.key, current.services.has(kind.key) ? undefined : kind);
          applyPlanChanges(current, changes);
          rules.renderChanges(current, changes);
        }
        const fresh = rendered([...current.services.values()], {}, facts);
        expect(desired(rules)).toEqual(desired(fresh));
        for (const table of tableNames) {
          const lines = [...rules.tables[table].desiredEntries()].reduce((sum, [, text]) => sum + countLines(text), 0);
          expect(rules.ruleCounts[table]).toBe(lines);
          expect(fresh.ruleCounts[table]).toBe(lines);
        }
      }),
      { numRuns: 30 },
    );
  },
);

test('every chain has a name that kube-proxy cleans up, and leads to chains that exist', () => {
  for (const hasBpf of [true, false]) {
    const rules = rendered(kinds, {}, { ...iptablesSettings, hasBpf });
    for (const table of ['nat', 'filter'] as const) {
      const names = new Set([...rules.tables[table].desiredEntries()].map(([name]) => name));
      for (const name of names) {
        const known = name === 'KUBE-FIREWALL' || isOurChain(table, name);
        expect(known).toBe(true);
        for (const line of chain(rules, table, name)) {
          expect(line.startsWith(`-A ${name} `)).toBe(true);
          const target = / -j (KUBE-\S+)$/.exec(line)?.[1];
          if (target !== undefined) expect(names).toContain(target);
        }
      }
    }
  }
});

describe('node ports stand behind every VIP', () => {
  const last = (over: Partial<NodeSettings>): string[] =>
    chain(rendered(kinds, over), 'nat', 'KUBE-SERVICES').slice(-2);
  const note = '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"';

  test('on every local address', () => {
    expect(last({}).at(-1)).toBe(`-A KUBE-SERVICES ${note} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`);
  });

  test('but not on the loopback network, unless that is wanted', () => {
    expect(last({ localhostNodePorts: false }).at(-1)).toBe(
      `-A KUBE-SERVICES ! -d 127.0.0.0/8 ${note} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`,
    );
  });

  test('or on some addresses', () => {
    const addresses = ['192.168.88.10', '192.168.89.10'];
    expect(last({ nodePortAddresses: { IPv4: { kind: 'some', addresses }, IPv6: { kind: 'all' } } })).toEqual(
      addresses.map((address) => `-A KUBE-SERVICES -d ${address}/32 ${note} -j KUBE-NODEPORTS`),
    );
  });

  test('or nowhere', () => {
    const rules = rendered([], { nodePortAddresses: { IPv4: { kind: 'some', addresses: [] }, IPv6: { kind: 'all' } } });
    expect(chain(rules, 'nat', 'KUBE-SERVICES')).toEqual([]);
  });

  test('never on ::1 in IPv6', () => {
    const rules = new RuleSet('IPv6', iptablesSettings);
    rules.render(plan('IPv6', []));
    expect(chain(rules, 'nat', 'KUBE-SERVICES')).toEqual([
      `-A KUBE-SERVICES ! -d ::1/128 ${note} -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`,
    ]);
  });
});

test('what the kernel cannot do is left out', () => {
  const affine = service([
    servicePort('a', {
      frontends: [clusterIP('10.96.0.1')],
      clusterEndpoints: [endpoint('10.244.1.2')],
      affinitySeconds: 60,
    }),
  ]);
  const sctp = service([
    servicePort('s', {
      frontends: [clusterIP('10.96.0.2')],
      clusterEndpoints: [endpoint('10.244.1.3')],
      protocol: 'SCTP',
    }),
  ]);
  const text = (facts: typeof iptablesSettings): string =>
    JSON.stringify([...rendered([affine, sctp], {}, facts).tables.nat.desiredEntries()]);
  expect(text(iptablesSettings)).toContain('-m recent');
  expect(text({ ...iptablesSettings, hasRecent: false })).not.toContain('-m recent');
  expect(text({ ...iptablesSettings, hasRecent: false })).toContain('10.244.1.2:8080');
  expect(text({ ...iptablesSettings, hasSctp: false })).not.toContain('sctp');
  expect(text(iptablesSettings)).not.toContain('-s 10.244.1.2/32 -d 10.244.1.2/32');
  expect(text({ ...iptablesSettings, hasBpf: false })).toContain('-s 10.244.1.2/32 -d 10.244.1.2/32');
});

test('an address that two Services claim belongs to the first by name, whoever came first', () => {
  const claim = (name: string): ServicePlan =>
    service([
      servicePort(name, {
        frontends: [clusterIP(`10.96.0.${name === 'a' ? 1 : 2}`), { ...clusterIP('203.0.113.1'), kind: 'ExternalIP' }],
        clusterEndpoints: [endpoint('10.244.1.2')],
      }),
    ]);
  for (const services of [
    [claim('a'), claim('b')],
    [claim('b'), claim('a')],
  ])
    expect(chain(rendered(services), 'nat', 'KUBE-SERVICES').filter((rule) => rule.includes('203.0.113.1'))).toEqual([
      expect.stringContaining('"default/a external IP"'),
    ]);
});

test('a listing gets the chains of one Service', () => {
  const rules = rendered(kinds);
  const [plain] = kinds;
  expect(rules.chainsOf(plain?.key as ServiceKey)).toEqual([expect.stringMatching(/^KUBE-SVC-[A-Z2-7]{16}$/)]);
  expect(rules.chainsOf('default/nobody' as ServiceKey)).toEqual([]);
});
