import fc from 'fast-check';
import { affinityListName, servicePortIdentity } from '../../../src/backends/iptables/names';
import { isForwarded, renderServiceChains, serviceChainNames } from '../../../src/backends/iptables/render-service';
import type { Frontend, PlanEndpoint, ServicePortPlan } from '../../../src/planner/plan';
import type { LocalDetector } from '../../../src/model/local-detector';
import type { Chains } from '../../../src/xtables/common-rules';
import { serviceChainPrefixes } from '../../../src/xtables/known-chains';
import { clusterIP, endpoint, servicePort } from '../../support/plans';
import { type Chances, chancesIn } from './walk-rules';

const pods: LocalDetector = { kind: 'cidr', cidr: '10.244.0.0/16' };

function render(port: ServicePortPlan, detector: LocalDetector = pods, family: 'IPv4' | 'IPv6' = 'IPv4'): Chains {
  return renderServiceChains(port, serviceChainNames(port), family, detector);
}

function web(count: number, over: Partial<ServicePortPlan> = {}): ServicePortPlan {
  return servicePort('web', { frontends: [clusterIP('10.96.0.10')], clusterEndpoints: endpoints(count), ...over });
}

function endpoints(count: number, net = '10.244'): PlanEndpoint[] {
  return Array.from({ length: count }, (_, i) => endpoint(`${net}.${i >> 8}.${i & 255}`));
}

/** The probability of each endpoint for a client, remembered or not. */
function chances(port: ServicePortPlan, known: readonly PlanEndpoint[] = []): Chances {
  const chains = new Map([...render(port), ['KUBE-MARK-MASQ', []]]);
  const lists = new Set(known.map((one) => affinityListName(servicePortIdentity(port), one)));
  return chancesIn(
    chains,
    { src: '192.0.2.1', dst: '10.96.0.10', dport: 80, known: lists },
    serviceChainNames(port).cluster,
  );
}

describe('balancing', () => {
  test.each([1, 2, 3, 7, 128, 129, 256, 257, 1000, 5000])('each of %i endpoints has the same chance', (count) => {
    const got = chances(web(count));
    expect(got.size).toBe(count);
    for (const chance of got.values()) expect(Math.abs(chance * count - 1)).toBeLessThan(1e-5);
  });

  test.each([3, 128, 300])('%i endpoints are chosen by their weights, and those of weight 0 never', (count) => {
    const weighted = endpoints(count).map((one, i) => ({ ...one, weight: i % 4 }));
    const sum = weighted.reduce((total, { weight }) => total + weight, 0);
    const got = chances(web(count, { clusterEndpoints: weighted }));
    for (const { address, weight } of weighted) {
      const chance = got.get(`${address}:8080`);
      if (weight === 0) expect(chance).toBeUndefined();
      else expect(Math.abs(((chance ?? 0) * sum) / weight - 1)).toBeLessThan(1e-5);
    }
  });

  test('a remembered client leaves an endpoint that should get no new connections', () => {
    const weighted = endpoints(2).map((one, i) => ({ ...one, weight: i }));
    const port = web(2, { clusterEndpoints: weighted, affinitySeconds: 600 });
    expect([...chances(port, weighted.slice(0, 1)).keys()]).toEqual(['10.244.0.1:8080']);
  });

  test('probabilities are printed as iptables-save prints them, in steps of 2^-31', () => {
    const rules = render(web(3)).get(serviceChainNames(web(3)).cluster) ?? [];
    expect(rules.slice(1)).toEqual([
      '-p tcp -m statistic --mode random --probability 0.33333333349 -j DNAT --to-destination 10.244.0.0:8080',
      '-p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.244.0.1:8080',
      '-p tcp -j DNAT --to-destination 10.244.0.2:8080',
    ]);
  });

  test('up to 128 endpoints are in one chain, more in many small ones', () => {
    expect(render(web(128)).size).toBe(1);
    const chains = render(web(1000));
    expect(chains.size).toBeGreaterThan(30);
    for (const [chain, rules] of chains) {
      expect(rules.length).toBeLessThan(90);
      expect(serviceChainPrefixes.some((prefix) => chain.startsWith(prefix))).toBe(true);
    }
  });

  test('one endpoint that changes rewrites few of a long list’s rules', () => {
    fc.assert(
      fc.property(fc.integer({ min: 300, max: 3000 }), fc.nat(), (count, at) => {
        const before = endpoints(count);
        const after = before.with(at % count, endpoint('10.250.0.1'));
        const [old, now] = [render(web(0, { clusterEndpoints: before })), render(web(0, { clusterEndpoints: after }))];
        const changed = [...now].filter(([chain, rules]) => old.get(chain)?.join() !== rules.join());
        // The list itself, the chain that had the endpoint, and the chain that has the new one.
        expect(changed.length).toBeLessThanOrEqual(3);
        expect(changed.flatMap(([, rules]) => rules).length).toBeLessThan(20 + 6 * Math.sqrt(count));
      }),
      { numRuns: 25 },
    );
  });

  test('the list of this node and the list of the cluster have their own chains', () => {
    const local: Partial<Frontend> = {
      kind: 'NodePort',
      address: '',
      verdict: { kind: 'forward', endpoints: 'local' },
    };
    const port = web(300, {
      frontends: [clusterIP('10.96.0.10'), { ...clusterIP('10.96.0.10'), ...local }],
      localEndpoints: endpoints(200),
    });
    const names = serviceChainNames(port);
    const chains = new Map([...render(port), ['KUBE-MARK-MASQ', []]]);
    const packet = { src: '192.0.2.1', dst: '10.96.0.10', dport: 80 };
    expect(chancesIn(chains, packet, names.cluster).size).toBe(300);
    expect(chancesIn(chains, packet, names.local).size).toBe(200);
  });
});

describe('affinity', () => {
  const affine = (count: number): ServicePortPlan => web(count, { affinitySeconds: 600 });

  test.each([1, 5, 128, 129, 700])('of %i endpoints a known client gets its own, a new one any', (count) => {
    const port = affine(count);
    for (const one of [0, count >> 1, count - 1].map((at) => port.clusterEndpoints[at] as PlanEndpoint))
      expect([...chances(port, [one])]).toEqual([[`${one.address}:8080`, 1]]);
    const any = chances(port);
    expect(any.size).toBe(count);
    for (const chance of any.values()) expect(Math.abs(chance * count - 1)).toBeLessThan(1e-5);
  });

  test('a client is remembered for as long as it stays active, by its address alone', () => {
    const port = affine(2);
    const [first, second] = port.clusterEndpoints.map((one) => affinityListName(servicePortIdentity(port), one));
    expect(render(port).get(serviceChainNames(port).cluster)?.slice(1)).toEqual([
      `-p tcp -m recent --update --seconds 600 --reap --name ${first ?? ''} --mask 255.255.255.255 --rsource -j DNAT --to-destination 10.244.0.0:8080`,
      `-p tcp -m recent --update --seconds 600 --reap --name ${second ?? ''} --mask 255.255.255.255 --rsource -j DNAT --to-destination 10.244.0.1:8080`,
      `-p tcp -m statistic --mode random --probability 0.50000000000 -m recent --set --name ${first ?? ''} --mask 255.255.255.255 --rsource -j DNAT --to-destination 10.244.0.0:8080`,
      `-p tcp -m recent --set --name ${second ?? ''} --mask 255.255.255.255 --rsource -j DNAT --to-destination 10.244.0.1:8080`,
    ]);
  });

  test('in IPv6 by all 128 bits', () => {
    const port = web(0, {
      frontends: [clusterIP('fd96::10')],
      clusterEndpoints: [endpoint('fd44::1')],
      affinitySeconds: 5,
    });
    const rules = render(port, { kind: 'none' }, 'IPv6').get(serviceChainNames(port).cluster) ?? [];
    expect(rules).toHaveLength(2);
    for (const rule of rules) {
      expect(rule).toContain(' --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource -j DNAT');
      expect(rule).toContain(' --to-destination [fd44::1]:8080');
    }
  });
});

describe('marks of a cluster IP', () => {
  const marks = (detector: LocalDetector, over: Partial<Frontend> = {}): string[] => {
    const port = web(1, { localEndpoints: endpoints(1), frontends: [{ ...clusterIP('10.96.0.10'), ...over }] });
    const names = serviceChainNames(port);
    const list = over.verdict?.kind === 'forward' ? over.verdict.endpoints : 'cluster';
    return (render(port, detector).get(names[list]) ?? []).slice(0, -1).map(String);
  };
  const to = '-p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ';
  const local = { verdict: { kind: 'forward', endpoints: 'local' } } as const;

  test.each<[LocalDetector, Partial<Frontend>, string[]]>([
    [pods, {}, ['! -s 10.244.0.0/16 -j KUBE-MARK-MASQ']],
    [{ kind: 'interface', name: 'cni0' }, {}, ['! -i cni0 -j KUBE-MARK-MASQ']],
    [{ kind: 'interface-prefix', prefix: 'veth' }, {}, ['! -i veth+ -j KUBE-MARK-MASQ']],
    // Those whose address external traffic keeps come to the local list too.
    [pods, local, [`! -s 10.244.0.0/16 -d 10.96.0.10/32 ${to}`]],
    [{ kind: 'interface', name: 'cni0' }, local, [`-d 10.96.0.10/32 ! -i cni0 ${to}`]],
    [{ kind: 'none' }, {}, []],
    [pods, { masquerade: 'never' }, []],
    [pods, { masquerade: 'always' }, [`-d 10.96.0.10/32 ${to}`]],
  ])('%j %j', (detector, over, expected) => {
    expect(marks(detector, over)).toEqual(expected);
  });

  test('are only in the list that serves it', () => {
    const node = { kind: 'NodePort', address: '', masquerade: 'always' } as const;
    const port = web(3, {
      localEndpoints: endpoints(1),
      frontends: [
        { ...clusterIP('10.96.0.10'), verdict: { kind: 'forward', endpoints: 'local' } },
        { ...clusterIP(''), ...node },
      ],
    });
    const names = serviceChainNames(port);
    expect(render(port).get(names.local)?.[0]).toContain('-j KUBE-MARK-MASQ');
    expect(render(port).get(names.cluster)?.join()).not.toContain('KUBE-MARK-MASQ');
  });
});

describe('from outside', () => {
  const external = (over: Partial<Frontend>): Frontend => ({
    ...clusterIP('203.0.113.1'),
    kind: 'LoadBalancer',
    masquerade: 'always',
    ...over,
  });
  const local = { masquerade: 'never', localSourcesToCluster: true } as const;
  const chainOf = (
    frontend: Frontend,
    chain: 'external' | 'firewall',
    detector: LocalDetector = pods,
  ): readonly string[] | undefined => {
    const port = web(2, { frontends: [clusterIP('10.96.0.10'), frontend], localEndpoints: endpoints(1) });
    return render(port, detector).get(serviceChainNames(port)[chain]);
  };
  const names = serviceChainNames(web(0));

  test('every client is masqueraded if any node may answer', () => {
    expect(chainOf(external({}), 'external')).toEqual(['-j KUBE-MARK-MASQ', `-j ${names.cluster}`]);
  });

  test.each<[Frontend['verdict'], string[]]>([
    [{ kind: 'forward', endpoints: 'local' }, [`-j ${names.local}`]],
    [{ kind: 'drop', why: 'no local endpoints' }, []],
  ])("policy Local: this node's own go anywhere, others to %j", (verdict, last) => {
    const frontend = external({ ...local, verdict });
    const own = ['-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ', `-m addrtype --src-type LOCAL -j ${names.cluster}`];
    expect(chainOf(frontend, 'external')).toEqual([`-s 10.244.0.0/16 -j ${names.cluster}`, ...own, ...last]);
    expect(chainOf(frontend, 'external', { kind: 'none' })).toEqual([...own, ...last]);
  });

  test('nobody reaches a frontend that refuses everyone', () => {
    const refused = external({ masquerade: 'never', verdict: { kind: 'reject', why: 'no endpoints' } });
    expect(isForwarded(refused)).toBe(false);
    expect(chainOf(refused, 'external')).toBeUndefined();
    expect(chainOf({ ...refused, sourceRanges: ['10.0.0.0/8'] }, 'firewall')).toBeUndefined();
  });

  test('source ranges let in the clients that they name, and the node through the VIP itself', () => {
    const ranges = { sourceRanges: ['10.0.0.0/8', '192.168.88.0/24'] };
    expect(chainOf(external(ranges), 'firewall')).toEqual([
      `-s 10.0.0.0/8 -j ${names.external}`,
      `-s 192.168.88.0/24 -j ${names.external}`,
    ]);
    expect(chainOf(external({ ...ranges, sourceRangesHaveNode: true }), 'firewall')?.at(-1)).toBe(
      `-s 203.0.113.1/32 -j ${names.external}`,
    );
    expect(chainOf(external({}), 'firewall')).toBeUndefined();
  });
});

test('a service port that nobody serves has no chains', () => {
  const reject = { kind: 'reject', why: 'no endpoints' } as const;
  expect(render(web(0, { frontends: [{ ...clusterIP('10.96.0.10'), verdict: reject }] })).size).toBe(0);
});
