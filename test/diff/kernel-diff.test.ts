/** What was written for one cluster against what another should have; and with a hand in it. */
import fc from 'fast-check';
import { modes } from '../../src/modes/modes';
import type { ProxyMode } from '../../src/model/proxy-mode';
import type { KernelTexts } from '../../src/compare/parse-kernel';
import type { KernelDiff } from '../../src/diff/kernel-diff';
import { families, type Family } from '../../src/model/address';
import type { ClusterChange } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import type { Frontend, Plan } from '../../src/planner/plan';
import { planCluster } from '../../src/planner/plan-cluster';
import { readRecordings } from '../compare/recordings';
import { writeIptables, writeIpvs } from '../compare/written';
import { labConfiguration } from '../conformance/planned-cluster';
import { clusterIP, endpoint, plan as makePlan, service, servicePort } from '../support/plans';
import { ownServicesArb } from '../support/trace-iptables-arbitraries';
import { makeSettings } from '../support/settings';

const settings = makeSettings({ hostAddresses: ['192.168.88.10', 'fd88::10'] });

function planOf(objects: readonly ClusterChange[], family: Family): Plan {
  const store = new ClusterStore(0);
  store.apply(objects);
  return planCluster(store, family, settings);
}

/** Against texts of another machine. */
function diffOf(mode: ProxyMode, plan: Plan, texts: KernelTexts): Promise<KernelDiff> {
  return modes[mode].diff({
    plan,
    texts,
    configuration: labConfiguration({ mode }),
    nodeName: 'node',
    isOffline: true,
  });
}

const writers = [
  ['iptables', writeIptables],
  ['ipvs', writeIpvs],
] as const;

describe.each(families.flatMap((family) => writers.map((writer) => [family, ...writer] as const)))(
  '%s, %s',
  (family, mode, write) => {
    const diff = (plan: Plan, texts: KernelTexts): Promise<KernelDiff> => diffOf(mode, plan, texts);
    test('what was just written is as it should be', async () => {
      await fc.assert(
        fc.asyncProperty(ownServicesArb, async (objects) => {
          const plan = planOf(objects, family);
          expect((await diff(plan, write(plan))).differences).toEqual([]);
        }),
        { numRuns: 40 },
      );
    });

    test('what was written for another state is stale, and nobody is suspected', async () => {
      let stale = 0;
      await fc.assert(
        fc.asyncProperty(ownServicesArb, ownServicesArb, fc.nat(6), async (before, after, missing) => {
          const written = planOf(before.slice(missing), family);
          const { differences } = await diff(planOf(after, family), write(written));
          stale += differences.length;
          expect(differences.filter(({ cause }) => cause === 'foreign')).toEqual([]);
        }),
        { numRuns: 100 },
      );
      expect(stale).toBeGreaterThan(50);
    });
  },
);

/** A Service with everything, two endpoints here and one elsewhere. */
function fullPlan(family: Family): Plan {
  const local = (n: number): ReturnType<typeof endpoint> =>
    endpoint(family === 'IPv4' ? `10.244.1.${n}` : `fd44:1::${n}`, 8080, true);
  const elsewhere = endpoint(family === 'IPv4' ? '10.244.2.2' : 'fd44:2::2');
  const [vip, balancer, external] =
    family === 'IPv4' ? ['10.96.0.10', '203.0.113.5', '198.51.100.7'] : ['fd96::10', '2001:db8:1::5', '2001:db8::7'];
  const outside: Omit<Frontend, 'kind' | 'address' | 'port'> = {
    verdict: { kind: 'forward', endpoints: 'local' },
    masquerade: 'never',
    localSourcesToCluster: true,
  };
  const port = servicePort('web', {
    frontends: [
      clusterIP(vip),
      { kind: 'ExternalIP', address: external, port: 80, ...outside },
      { kind: 'LoadBalancer', address: balancer, port: 80, ...outside },
      { kind: 'NodePort', address: '', port: 30080, ...outside },
    ],
    clusterEndpoints: [local(2), local(3), elsewhere],
    localEndpoints: [local(2), local(3)],
  });
  return makePlan(family, [service([port], 32080)], { hostAddresses: ['192.168.88.10', 'fd88::10'] });
}

async function suspects(diffed: Promise<KernelDiff> | KernelDiff): Promise<string[]> {
  const { differences } = await diffed;
  return differences.flatMap(({ cause, evidence }) => (cause === 'foreign' ? evidence : []));
}

describe('a hand in iptables', () => {
  const plan = fullPlan('IPv4');
  const written = writeIptables(plan).iptablesSave ?? '';
  const chain = (kind: string): string => new RegExp(`^-A (KUBE-${kind}-[A-Z2-7]{16}) `, 'm').exec(written)?.[1] ?? '';
  const suspectsOf = (text: string): Promise<string[]> => suspects(diffOf('iptables', plan, { iptablesSave: text }));

  test.each(['SVC', 'SVL', 'EXT'])('a rule that is added to KUBE-%s', async (kind) => {
    const rule = `-A ${chain(kind)} -s 192.0.2.1/32 -j DROP`;
    expect(await suspectsOf(written.replace(/^-A KUBE-MARK-MASQ/m, `${rule}\n-A KUBE-MARK-MASQ`))).toContain(
      `added: ${rule}`,
    );
  });

  test.each(
    written
      .split('\n')
      .filter((line) => /^-A KUBE-(SVC|SVL|EXT)-[A-Z2-7]{16} |^-A KUBE-(MARK|POST|FORW)|cluster IP"/.test(line))
      // Without these the chain is that of another state: none is here, or the first endpoint has gone.
      .filter((line) => !/-A KUBE-EXT-\S+ -j KUBE-SVL|-A KUBE-SV[CL]-\S+ .* 10\.244\.1\.2:/.test(line))
      .map((line) => [line]),
  )('%s, taken away', async (line) => {
    const found = await suspectsOf(written.replace(`${line}\n`, ''));
    expect(found.join('\n')).toContain(`removed${line.includes('cluster IP') ? '' : `: ${line}`}`);
  });

  test('a jump, and a whole table', async () => {
    expect(await suspectsOf(written.replace(/^-I PREROUTING.*\n/m, ''))).toEqual([
      'the jump from nat PREROUTING was removed',
    ]);
    const [, filter = ''] = written.split(/^(?=\*filter)/m);
    expect(await suspectsOf(filter)).toContain('nat has no chains of vipwire: it was flushed, or never written');
    const emptied = written.replace(/^-A KUBE-(?!FORWARD|FIREWALL|PROXY-CANARY -m comment --comment "x).*$\n/gm, '');
    expect(await suspectsOf(emptied)).toContain('nat was flushed: the rule that shows it is gone');
  });

  test("kube-proxy's rules are refused, with a hint", async () => {
    const [recording] = readRecordings('iptables');
    const texts = { iptablesSave: recording?.iptablesSave ?? '' };
    await expect(diffOf('iptables', plan, texts)).rejects.toThrow('use vipwire compare');
  });
});

describe('a hand in IPVS', () => {
  const plan = fullPlan('IPv4');
  const written = writeIpvs(plan);
  const suspectsOf = (texts: KernelTexts): Promise<string[]> =>
    suspects(diffOf('ipvs', plan, { ...written, ...texts }));
  const edit = (name: 'ipvsadm' | 'ipset' | 'addresses' | 'iptablesSave', from: RegExp, to: string): KernelTexts => {
    const text = written[name] ?? '';
    expect(text).toMatch(from);
    return { [name]: text.replace(from, to) };
  };

  test.each([
    ['an endpoint is taken from one server', 'ipvsadm', /^-a -t 203.*\n/m, '', 'differs from'],
    ['a weight', 'ipvsadm', /(-t 10\.96\.0\.10:80 .*) -w 1/, '$1 -w 7', 'has the weight 7'],
    ['a server is taken away', 'ipvsadm', /^-[Aa] -t 10\.96.*\n(-a -t 10.*\n)*/m, '', 'the sets have it'],
    ['a server is added', 'ipvsadm', /^/, '-A -t 10.96.0.10:9999 -s rr\n', 'no set has it'],
    ['an entry is taken away', 'ipset', /^add KUBE-CLUSTER-IP .*\n/m, '', 'was removed from KUBE-CLUSTER-IP'],
    ['an entry is added', 'ipset', /$/, 'add KUBE-CLUSTER-IP 10.96.0.99,tcp:80\n', 'no virtual server has it'],
    ['an address is taken off', 'addresses', /^.*10\.96.*\n?/m, '', 'was removed'],
    ['an address is added', 'addresses', /^/, '6: kube-ipvs0    inet 10.96.0.77/32 scope global\n', 'was added'],
    ['a rule', 'iptablesSave', /^-A KUBE-NODE-PORT .*\n/m, '', 'does not depend on Services'],
  ] as const)('%s', async (_, name, from, to, evidence) => {
    expect((await suspectsOf(edit(name, from, to))).join('\n')).toContain(evidence);
  });

  test('a destination that drains is none', async () => {
    const drains = '-a -t 10.96.0.10:80 -r 10.244.1.77:8080 -m -w 0\n';
    const { differences } = await diffOf('ipvs', plan, { ...written, ipvsadm: `${written.ipvsadm ?? ''}${drains}` });
    expect(differences).toEqual([]);
  });
});
