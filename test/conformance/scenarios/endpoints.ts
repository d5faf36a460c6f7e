import { reaches, refused, silent, tcp, udp, unanswered } from '../checks';
import { service, slice } from '../objects';
import type { ClusterObject, Scenario } from '../scenario';

const vip = '10.96.0.10';
const node4 = '192.168.88.10';
/** Subsets of an Endpoints object of default/web. */
function endpoints(ready: readonly string[], notReady: readonly string[] = []): ClusterObject {
  const list = (ips: readonly string[]): { ip: string }[] => ips.map((ip) => ({ ip }));
  const subset = {
    addresses: list(ready),
    notReadyAddresses: list(notReady),
    ports: [{ port: 8080, protocol: 'TCP' }],
  };
  return {
    kind: 'Endpoints',
    apiVersion: 'v1',
    metadata: { name: 'web', namespace: 'default' },
    subsets: [subset],
  } as ClusterObject;
}

const draining = { ready: false, serving: true, terminating: true };

export const endpointScenarios: readonly Scenario[] = [
  {
    name: 'node-hints',
    about: 'Hints by node come first, then hints by zone, then everyone (topology.go).',
    steps: [
      {
        objects: [
          service(),
          slice([
            ['a', { nodes: ['node'], zones: ['z1'] }],
            ['b', { nodes: ['node2'], zones: ['z1'] }],
            ['d', { nodes: ['node2'], zones: ['z2'] }],
          ]),
        ],
        probes: [tcp('c', vip, 80, reaches(['a:8080'])), tcp('ext', vip, 80, reaches(['a:8080']))],
      },
      {
        objects: [
          service(),
          slice([
            ['a', { nodes: ['node2'], zones: ['z1'] }],
            ['b', { nodes: ['node2'], zones: ['z1'] }],
            ['d', { nodes: ['node2'], zones: ['z2'] }],
          ]),
        ],
        probes: [tcp('c', vip, 80, reaches(['a:8080', 'b:8080']))],
      },
      {
        objects: [
          service(),
          slice([
            ['a', { nodes: ['node'] }],
            ['d', { zones: ['z2'] }],
            ['e', { ready: false, serving: true, terminating: false }],
          ]),
        ],
        probes: [tcp('c', vip, 80, reaches(['a:8080', 'd:8080']))],
      },
    ],
  },
  {
    name: 'hints-not-for-local',
    about: 'Hints choose among the cluster list alone: a Local policy uses every pod of this node (topology.go).',
    steps: [
      {
        objects: [
          service({
            type: 'NodePort',
            ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
            spec: { externalTrafficPolicy: 'Local' },
          }),
          slice([
            ['a', { zones: ['z2'] }],
            ['b', { zones: ['z1'] }],
            ['d', { zones: ['z1'] }],
          ]),
        ],
        probes: [
          tcp('ext', node4, 30080, reaches(['a:8080', 'b:8080'], ['192.168.88.100'])),
          tcp('c', node4, 30080, reaches(['b:8080', 'd:8080'])),
          tcp('c', vip, 80, reaches(['b:8080', 'd:8080'])),
        ],
      },
    ],
  },
  {
    name: 'conditions-left-out',
    about: 'ready and serving left out mean true, terminating left out means false (endpointslicecache.go).',
    steps: [
      {
        objects: [service(), slice([['a', { terminating: false }], ['b', { ready: false }], 'd'])],
        probes: [tcp('c', vip, 80, reaches(['a:8080', 'd:8080']))],
      },
      {
        objects: [
          service(),
          slice([
            ['a', { ready: false, terminating: true }],
            ['b', { ready: false, serving: false, terminating: true }],
          ]),
        ],
        probes: [tcp('c', vip, 80, reaches(['a:8080']))],
      },
      {
        objects: [
          service(),
          slice([
            ['a', { ready: true, serving: true, terminating: true }],
            ['d', draining],
          ]),
        ],
        probes: [tcp('c', vip, 80, reaches(['a:8080']))],
      },
      {
        objects: [service(), slice([['a', { ready: false, serving: true, terminating: false }]])],
        probes: [tcp('c', vip, 80, refused)],
      },
    ],
  },
  {
    name: 'terminating-local',
    about:
      'Local falls back to pods of this node that drain, while the cluster list goes to the ready ones (topology.go).',
    steps: [
      {
        objects: [
          service({
            type: 'NodePort',
            ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
            spec: { externalTrafficPolicy: 'Local' },
          }),
          slice([['a', draining], 'd']),
        ],
        probes: [
          tcp('ext', node4, 30080, reaches(['a:8080'], ['192.168.88.100'])),
          tcp('c', node4, 30080, reaches(['d:8080'])),
          tcp('c', vip, 80, reaches(['d:8080'])),
        ],
      },
      {
        objects: [
          service({
            type: 'NodePort',
            ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
            spec: { externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' },
          }),
          slice([['a', draining], 'd']),
        ],
        probes: [
          tcp('ext', node4, 30080, reaches(['a:8080'], ['192.168.88.100'])),
          tcp('c', vip, 80, reaches(['a:8080'])),
          tcp('c', node4, 30080, reaches(['d:8080'])),
        ],
      },
      {
        objects: [
          service({ spec: { internalTrafficPolicy: 'Local' } }),
          slice(['d', ['a', { ready: false, serving: false, terminating: true }]]),
        ],
        probes: [tcp('c', vip, 80, silent), tcp('node', vip, 80, silent)],
      },
    ],
  },
  {
    name: 'slices-merge',
    about:
      'Slices of a Service are one list; a pod that lives beats its own dying entry; headless-labelled slices do not count (app/server.go, endpointslicecache.go).',
    steps: [
      {
        objects: [
          service(),
          slice(['a', ['b', { ready: false, serving: false, terminating: true }]], { name: 'web-1' }),
          slice(['b', 'd'], { name: 'web-2' }),
          slice(['e'], { name: 'web-3', labels: { 'service.kubernetes.io/headless': '' } }),
        ],
        probes: [tcp('c', vip, 80, reaches(['a:8080', 'b:8080', 'd:8080']))],
      },
      {
        objects: [service(), slice(['a'], { name: 'web-2' }), slice(['d'], { name: 'web-1' })],
        probes: [tcp('c', vip, 80, reaches(['a:8080', 'd:8080']))],
      },
      {
        objects: [service(), slice(['a'], { name: 'web-2', ports: [{ name: 'other', port: 8080 }] })],
        probes: [tcp('c', vip, 80, refused)],
      },
    ],
  },
  {
    name: 'several-target-ports',
    about: 'Pods of one Service may listen on different ports: each slice has its own (endpointslicecache.go).',
    steps: [
      {
        objects: [
          service(),
          slice(['a'], { name: 'web-1', ports: [{ port: 8080 }] }),
          slice(['a', 'd'], { name: 'web-2', ports: [{ port: 9376 }] }),
        ],
        probes: [tcp('c', vip, 80, reaches(['a:8080', 'a:9376', 'd:9376'], ['10.244.1.4']))],
      },
    ],
  },
  {
    name: 'endpoints-objects',
    about: 'Endpoints objects serve where the API server has no discovery.k8s.io.',
    faults: { lackDiscovery: true },
    steps: [
      {
        objects: [service(), endpoints(['10.244.1.2', '10.244.2.2'], ['10.244.1.3'])],
        probes: [tcp('c', vip, 80, reaches(['a:8080', 'd:8080'], ['10.244.1.4']))],
      },
      { objects: [service(), endpoints(['10.244.1.3'])], probes: [tcp('c', vip, 80, reaches(['b:8080']))] },
      { objects: [service()], probes: [tcp('c', vip, 80, refused)] },
    ],
  },
  {
    name: 'udp-service-deleted',
    about:
      'A UDP client of a Service that is deleted does not go on reaching its pod (better than kube-proxy, kubernetes #139628).',
    steps: [
      {
        objects: [
          service({ ports: [{ port: 53, targetPort: 53, protocol: 'UDP' }] }),
          slice(['a'], { ports: [{ port: 53, protocol: 'UDP' }] }),
        ],
        probes: [udp('c', vip, 53, reaches(['a:53']), { sport: 40003, count: 3 })],
      },
      { objects: [], probes: [udp('c', vip, 53, unanswered, { sport: 40003 })] },
    ],
  },
  {
    name: 'changes-while-away',
    about: 'What changed while the proxy was away is right after its start: gone, moved and new (iptables/proxier.go).',
    steps: [
      {
        objects: [
          service(),
          slice(['a']),
          service({ name: 'old', clusterIPs: ['10.96.0.30'] }),
          slice(['a'], { service: 'old' }),
        ],
        probes: [tcp('c', vip, 80, reaches(['a:8080'])), tcp('c', '10.96.0.30', 80, reaches(['a:8080']))],
      },
      {
        restart: true,
        objects: [
          service(),
          slice(['d']),
          service({ name: 'new', clusterIPs: ['10.96.0.31'] }),
          slice(['b'], { service: 'new' }),
        ],
        probes: [
          tcp('c', vip, 80, reaches(['d:8080'])),
          tcp('c', '10.96.0.31', 80, reaches(['b:8080'])),
          tcp('c', '10.96.0.30', 80, silent),
        ],
      },
    ],
  },
  {
    name: 'refused-in-both-families',
    about: 'Nothing usable anywhere refuses, also over UDP and IPv6, by NodePort and load balancer (topology.go).',
    steps: [
      {
        objects: [
          service({
            type: 'LoadBalancer',
            clusterIPs: [vip, 'fd96::10'],
            ports: [
              { name: 'tcp', port: 80, targetPort: 8080, nodePort: 30080 },
              { name: 'udp', port: 80, targetPort: 53, nodePort: 30080, protocol: 'UDP' },
            ],
            ingress: [{ ip: '203.0.113.5' }, { ip: '2001:db8:1::5' }],
          }),
        ],
        probes: [
          tcp('ext', 'fd88::10', 30080, refused),
          udp('ext', 'fd88::10', 30080, refused),
          udp('ext', node4, 30080, refused),
          tcp('ext', '2001:db8:1::5', 80, refused),
          udp('ext', '203.0.113.5', 80, refused),
          udp('c', vip, 80, refused),
          tcp('c', 'fd96::10', 80, refused),
          udp('node', 'fd96::10', 80, refused),
        ],
      },
    ],
  },
];
