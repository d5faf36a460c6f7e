import type { Family } from '../../src/model/address';
import type { EndpointSlice, Service } from '../../src/model/cluster';
import type { Frontend, NodeSettings, ServicePlan, ServicePortPlan } from '../../src/planner/plan';
import { planService } from '../../src/planner/plan-service';
import { makeEndpoint, makeService, makeSlice, webPort } from '../support/cluster-objects';
import { makeSettings } from '../support/settings';

const here = makeEndpoint('10.244.1.2', { nodeName: 'node' });
const there = makeEndpoint('10.244.2.2', { nodeName: 'node2' });
const cidrDetector = {
  localDetector: { IPv4: { kind: 'cidr', cidr: '10.244.0.0/16' }, IPv6: { kind: 'none' } },
} as const;
/** All four kinds of frontend. */
const everyKind: Partial<Service> = {
  externalIPs: ['198.51.100.1'],
  loadBalancerIPs: ['203.0.113.1'],
  ports: [{ ...webPort, nodePort: 30080 }],
};

function plan(
  service: Partial<Service>,
  slices: readonly EndpointSlice[],
  settings: Partial<NodeSettings> = {},
  family: Family = 'IPv4',
): ServicePlan {
  const planned = planService(makeService(service), slices, family, makeSettings(settings));
  if (planned === undefined) throw new Error('not planned');
  return planned;
}

function planPort(...args: Parameters<typeof plan>): ServicePortPlan {
  const [port] = plan(...args).ports;
  if (port === undefined) throw new Error('no port');
  return port;
}

/** `kind address:port verdict masquerade[ short-circuit]`. */
function lines(...args: Parameters<typeof plan>): string[] {
  return planPort(...args).frontends.map((frontend: Frontend) => {
    const { verdict } = frontend;
    const what = verdict.kind === 'forward' ? verdict.endpoints : verdict.kind;
    const shortCircuit = frontend.localSourcesToCluster ? ' short-circuit' : '';
    return `${frontend.kind} ${frontend.address}:${frontend.port} ${what} ${frontend.masquerade}${shortCircuit}`;
  });
}

describe('frontends', () => {
  test('of every kind, sorted, policy Cluster', () => {
    const service = { ...everyKind, externalIPs: ['198.51.100.2', '198.51.100.1'] };
    expect(lines(service, [makeSlice([here, there])])).toEqual([
      'ClusterIP 10.96.0.10:80 cluster never',
      'ExternalIP 198.51.100.1:80 cluster always',
      'ExternalIP 198.51.100.2:80 cluster always',
      'LoadBalancer 203.0.113.1:80 cluster always',
      'NodePort :30080 cluster always',
    ]);
  });

  test('external IPs with the gate AllowServiceExternalIPs off', () => {
    expect(lines({ externalIPs: ['198.51.100.1'] }, [makeSlice([here])], { allowServiceExternalIPs: false })).toEqual([
      'ClusterIP 10.96.0.10:80 cluster never',
    ]);
  });

  test('externalTrafficPolicy Local with an endpoint here', () => {
    expect(lines({ ...everyKind, externalTrafficPolicy: 'Local' }, [makeSlice([here, there])])).toEqual([
      'ClusterIP 10.96.0.10:80 cluster never',
      'ExternalIP 198.51.100.1:80 local never short-circuit',
      'LoadBalancer 203.0.113.1:80 local never short-circuit',
      'NodePort :30080 local never short-circuit',
    ]);
  });

  test('externalTrafficPolicy Local without one here: dropped, apart from local sources', () => {
    const planned = planPort({ ...everyKind, externalTrafficPolicy: 'Local' }, [makeSlice([there])]);
    expect(lines({ ...everyKind, externalTrafficPolicy: 'Local' }, [makeSlice([there])])).toEqual([
      'ClusterIP 10.96.0.10:80 cluster never',
      'ExternalIP 198.51.100.1:80 drop never short-circuit',
      'LoadBalancer 203.0.113.1:80 drop never short-circuit',
      'NodePort :30080 drop never short-circuit',
    ]);
    expect(planned.clusterEndpoints).toEqual([{ address: '10.244.2.2', port: 8080, isLocal: false }]);
    expect(planned.noLocalEndpoints).toEqual({ internal: false, external: true });
  });

  test('without any endpoint all refuse, whatever the policy', () => {
    for (const policy of ['Cluster', 'Local'] as const) {
      const service = { ...everyKind, externalTrafficPolicy: policy, internalTrafficPolicy: policy };
      const planned = planPort(service, [makeSlice([makeEndpoint('10.244.1.2', { ready: false })])]);
      expect(new Set(planned.frontends.map(({ verdict }) => verdict.kind))).toEqual(new Set(['reject']));
      expect(planned.frontends.some(({ localSourcesToCluster }) => localSourcesToCluster)).toBe(false);
      expect(planned.noLocalEndpoints).toEqual({ internal: false, external: false });
    }
  });

  test('internalTrafficPolicy Local', () => {
    const service = { internalTrafficPolicy: 'Local' } as const;
    expect(lines(service, [makeSlice([here, there])])).toEqual(['ClusterIP 10.96.0.10:80 local never']);
    expect(lines(service, [makeSlice([there])])).toEqual(['ClusterIP 10.96.0.10:80 drop never']);
    const planned = planPort(service, [makeSlice([there])]);
    expect(planned.noLocalEndpoints).toEqual({ internal: true, external: false });
    expect(planned.clusterEndpoints).toEqual([]);
  });

  test('internalTrafficPolicy Local leaves externals to the cluster', () => {
    expect(lines({ ...everyKind, internalTrafficPolicy: 'Local' }, [makeSlice([there])])).toEqual([
      'ClusterIP 10.96.0.10:80 drop never',
      'ExternalIP 198.51.100.1:80 cluster always',
      'LoadBalancer 203.0.113.1:80 cluster always',
      'NodePort :30080 cluster always',
    ]);
  });

  test('externalTrafficPolicy Local without externals counts as kube-proxy does', () => {
    const planned = planPort({ externalTrafficPolicy: 'Local' }, [makeSlice([here])]);
    expect(planned.localEndpoints).toEqual([]);
    expect(planned.noLocalEndpoints).toEqual({ internal: false, external: true });
  });

  test.each([
    [{}, 'never'],
    [cidrDetector, 'not-local-pods'],
    [{ masqueradeAll: true }, 'always'],
    [{ ...cidrDetector, masqueradeAll: true }, 'always'],
  ])('masquerade of the cluster IP with %j: %s', (settings, masquerade) => {
    expect(planPort({}, [], settings).frontends[0]?.masquerade).toBe(masquerade);
  });

  test('an address of two kinds keeps the first, an address twice is one', () => {
    const service = {
      externalIPs: ['198.51.100.1', '198.51.100.1', '10.96.0.10'],
      loadBalancerIPs: ['198.51.100.1', '203.0.113.1'],
    };
    expect(planPort(service, []).frontends.map(({ kind, address }) => `${kind} ${address}`)).toEqual([
      'ClusterIP 10.96.0.10',
      'ExternalIP 198.51.100.1',
      'LoadBalancer 203.0.113.1',
    ]);
  });

  test('source ranges are on load-balancer addresses alone, with or without endpoints', () => {
    const service = { ...everyKind, sourceRanges: ['192.168.88.0/24', '10.0.0.0/8', 'fd00::/8'] };
    for (const slices of [[], [makeSlice([here])]]) {
      for (const frontend of planPort(service, slices).frontends) {
        const ranges = frontend.kind === 'LoadBalancer' ? ['10.0.0.0/8', '192.168.88.0/24'] : undefined;
        expect(frontend.sourceRanges).toEqual(ranges);
        expect(frontend.sourceRangesHaveNode).toBe(ranges && true);
      }
    }
  });

  test('ranges without this node, and ranges of the other family', () => {
    const loadBalancer = (sourceRanges: string[]): Frontend | undefined =>
      planPort({ loadBalancerIPs: ['203.0.113.1'], sourceRanges }, []).frontends[1];
    expect(loadBalancer(['10.0.0.0/8'])?.sourceRangesHaveNode).toBe(false);
    expect(loadBalancer(['fd00::/8'])).not.toHaveProperty('sourceRanges');
  });
});

describe('endpoints', () => {
  test('the local list is the cluster list where they are equal', () => {
    const planned = planPort({ ...everyKind, externalTrafficPolicy: 'Local' }, [makeSlice([here])]);
    expect(planned.localEndpoints).toBe(planned.clusterEndpoints);
  });

  test('every serving endpoint of a UDP port, whatever policy and topology say', () => {
    const endpoints = [
      makeEndpoint('10.0.0.1', { zoneHints: ['z2'] }),
      makeEndpoint('10.0.0.2', { zoneHints: ['z1'] }),
      makeEndpoint('10.0.0.3', { ready: false, terminating: true }),
      makeEndpoint('10.0.0.4', { ready: false, serving: false, terminating: true }),
      makeEndpoint('10.0.0.5', { ready: false }),
    ];
    const ports = [
      { name: 'dns', protocol: 'UDP', port: 53, nodePort: 0 },
      { name: 'dns-tcp', protocol: 'TCP', port: 53, nodePort: 0 },
    ] as const;
    const [udp, tcp] = plan({ ports, internalTrafficPolicy: 'Local' }, [makeSlice(endpoints, { ports })]).ports;
    expect(udp?.servingEndpoints).toEqual(['10.0.0.1:53', '10.0.0.2:53', '10.0.0.3:53', '10.0.0.5:53']);
    expect(tcp?.servingEndpoints).toEqual([]);
  });

  test('a port that no slice names refuses', () => {
    const ports = [webPort, { ...webPort, name: 'https', port: 443 }];
    const planned = plan({ ports }, [makeSlice([here])]);
    expect(planned.ports.map(({ frontends }) => frontends[0]?.verdict.kind)).toEqual(['forward', 'reject']);
  });

  test('counts: all endpoints, and distinct ready addresses of this node', () => {
    const ports = [
      { name: 'a', protocol: 'TCP', port: 80, nodePort: 0 },
      { name: 'b', protocol: 'TCP', port: 81, nodePort: 0 },
    ] as const;
    const endpoints = [
      here,
      there,
      makeEndpoint('10.244.1.3', { nodeName: 'node' }),
      makeEndpoint('10.244.1.4', { nodeName: 'node', ready: false, terminating: true }),
    ];
    expect(plan({ ports, healthCheckNodePort: 32000 }, [makeSlice(endpoints, { ports })])).toMatchObject({
      key: 'default/web',
      healthCheckNodePort: 32000,
      localReadyEndpoints: 2,
      endpointCount: 8,
    });
  });
});

describe('families', () => {
  const dual = {
    clusterIPs: { IPv4: '10.96.0.10', IPv6: 'fd96::10' },
    externalIPs: ['198.51.100.1', '2001:db8::1'],
    loadBalancerIPs: ['203.0.113.1', '2001:db8:1::1'],
    sourceRanges: ['10.0.0.0/8', 'fd88::/64'],
  };
  const slices = [
    makeSlice([here]),
    makeSlice([makeEndpoint('fd44:1::2', { nodeName: 'node' })], { name: 'web-2', family: 'IPv6' }),
  ];

  test('see their own addresses and endpoints', () => {
    expect(lines(dual, slices, {}, 'IPv6')).toEqual([
      'ClusterIP fd96::10:80 cluster never',
      'ExternalIP 2001:db8::1:80 cluster always',
      'LoadBalancer 2001:db8:1::1:80 cluster always',
    ]);
    const planned = planPort(dual, slices, {}, 'IPv6');
    expect(planned.clusterEndpoints).toEqual([{ address: 'fd44:1::2', port: 8080, isLocal: true }]);
    expect(planned.frontends[2]).toMatchObject({ sourceRanges: ['fd88::/64'], sourceRangesHaveNode: true });
  });

  test('a Service without a cluster IP of the family is not proxied there', () => {
    expect(planService(makeService(), slices, 'IPv6', makeSettings())).toBeUndefined();
  });
});

test.each(['headless', 'ExternalName', 'no cluster IP', 'another proxy'] as const)('%s: not proxied', (notProxied) => {
  expect(planService(makeService({ notProxied }), [makeSlice([here])], 'IPv4', makeSettings())).toBeUndefined();
});

test('a Service without ports is not proxied', () => {
  expect(planService(makeService({ ports: [] }), [], 'IPv4', makeSettings())).toBeUndefined();
});

describe('weights', () => {
  const pods = makeSlice([
    makeEndpoint('10.244.1.2', { nodeName: 'node', zone: 'z1', target: 'Pod/web-canary-1' }),
    makeEndpoint('10.244.1.3', { nodeName: 'node', zone: 'z2', target: 'Pod/web-2' }),
    makeEndpoint('10.244.2.2', { nodeName: 'node2', zone: 'z1', target: 'Pod/other-3' }),
    makeEndpoint('10.244.2.3', { nodeName: 'node2', zone: 'z1' }),
    makeEndpoint('10.244.2.4', { nodeName: 'node3', zone: 'z3', target: 'Job/web-9' }),
  ]);
  const weightsOf = (weights: Service['weights'] & {}): (number | undefined)[] =>
    planPort({ weights }, [pods]).clusterEndpoints.map(({ weight }) => weight);

  test('the first rule that fits counts; who fits none weighs 1, which is not said', () => {
    expect(
      weightsOf([
        { kind: 'address', value: '10.244.2.3', weight: 7 },
        { kind: 'pod', value: 'web-canary-', weight: 0 },
        { kind: 'pod', value: 'web-', weight: 9 },
        { kind: 'node', value: 'node2', weight: 3 },
        { kind: 'zone', value: 'z1', weight: 4 },
      ]),
    ).toEqual([0, 9, 3, 7, undefined]);
  });

  test('where all have the weight 0, they serve alike', () => {
    expect(weightsOf([{ kind: 'pod', value: '', weight: 0 }])).toEqual([0, 0, 0, undefined, undefined]);
    const all = ['z1', 'z2', 'z3'].map((value) => ({ kind: 'zone', value, weight: 0 }) as const);
    expect(weightsOf(all)).toEqual([undefined, undefined, undefined, undefined, undefined]);
  });
});

test('the scheduler that a Service asks for is its ports’', () => {
  const scheduler = 'wlc' as Service['scheduler'] & {};
  expect(planPort({ scheduler }, [makeSlice([here])]).scheduler).toBe('wlc');
});
