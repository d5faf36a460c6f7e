import { reaches, refused, silent, tcp } from '../checks';
import { service, slice } from '../objects';
import type { ClusterObject, Scenario } from '../scenario';

const lb = '203.0.113.5';
const node4 = '192.168.88.10';

/** 80 of 203.0.113.5 to 8080 of a, for these ranges. */
function ranged(ranges: readonly string[]): ClusterObject[] {
  return [
    service({
      type: 'LoadBalancer',
      ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
      ingress: [{ ip: lb }],
      spec: { loadBalancerSourceRanges: ranges },
    }),
    slice(['a']),
  ];
}

export const loadBalancerScenarios: readonly Scenario[] = [
  {
    name: 'loadbalancer-shared-address',
    about:
      'Several Services share a load-balancer address by their ports; the ranges of one are not for the others (iptables/proxier.go).',
    steps: [
      {
        objects: [
          service({ name: 'one', type: 'LoadBalancer', clusterIPs: ['10.96.0.11'], ingress: [{ ip: lb }] }),
          slice(['a'], { service: 'one' }),
          service({
            name: 'two',
            type: 'LoadBalancer',
            clusterIPs: ['10.96.0.12'],
            ports: Array.from({ length: 30 }, (_, n) => ({ name: `p${n}`, port: 1000 + n, targetPort: 8443 })),
            ingress: [{ ip: lb }],
          }),
          slice(['b'], {
            service: 'two',
            ports: Array.from({ length: 30 }, (_, n) => ({ name: `p${n}`, port: 8443 })),
          }),
          service({
            name: 'three',
            type: 'LoadBalancer',
            clusterIPs: ['10.96.0.13'],
            ports: [{ port: 443, targetPort: 8443 }],
            ingress: [{ ip: lb }],
            spec: { loadBalancerSourceRanges: ['192.168.88.11/32'] },
          }),
          slice(['d'], { service: 'three', ports: [{ port: 8443 }] }),
          service({
            name: 'four',
            type: 'LoadBalancer',
            clusterIPs: ['10.96.0.14'],
            ports: [{ port: 81 }],
            ingress: [{ ip: lb }],
          }),
        ],
        probes: [
          tcp('ext', lb, 80, reaches(['a:8080'])),
          tcp('ext', lb, 1000, reaches(['b:8443'])),
          tcp('ext', lb, 1029, reaches(['b:8443'])),
          tcp('ext', lb, 443, silent),
          tcp('ext', lb, 81, refused),
          tcp('node2', lb, 443, reaches(['d:8443'])),
          tcp('node2', lb, 80, reaches(['a:8080'])),
          tcp('c', lb, 443, silent),
          tcp('c', lb, 1017, reaches(['b:8443'])),
        ],
      },
    ],
  },
  {
    name: 'source-ranges-node',
    about:
      "Ranges with the node's own address let it in, also where the VIP is an address of the node (iptables/proxier.go).",
    steps: [
      {
        objects: ranged([`${node4}/32`]),
        probes: [tcp('node', lb, 80, reaches(['a:8080'])), tcp('ext', lb, 80, silent), tcp('c', lb, 80, silent)],
      },
      {
        run: [`ip addr add ${lb}/32 dev lo`],
        probes: [tcp('node', lb, 80, reaches(['a:8080'])), tcp('ext', lb, 80, silent)],
      },
    ],
  },
  {
    name: 'source-ranges-other-family',
    about: 'Ranges of the other family alone leave this one open; so does one of /0 among others (serviceport.go).',
    steps: [
      {
        objects: ranged(['fd00::/8']),
        probes: [tcp('ext', lb, 80, reaches(['a:8080'])), tcp('c', lb, 80, reaches(['a:8080']))],
      },
      {
        objects: ranged(['192.168.88.11/32', '0.0.0.0/0']),
        probes: [tcp('ext', lb, 80, reaches(['a:8080'])), tcp('c', lb, 80, reaches(['a:8080']))],
      },
      {
        objects: ranged([' 192.168.88.100/32 ', 'nonsense']),
        probes: [tcp('ext', lb, 80, reaches(['a:8080'])), tcp('node2', lb, 80, silent)],
      },
      {
        objects: ranged(['192.168.88.0/24', '10.244.1.4/32']),
        probes: [
          tcp('ext', lb, 80, reaches(['a:8080'])),
          tcp('c', lb, 80, reaches(['a:8080'])),
          tcp('b', lb, 80, silent),
        ],
      },
    ],
  },
  {
    name: 'source-ranges-local-policy',
    about:
      'Ranges and externalTrafficPolicy Local together: the source is kept, and pods of this node go to any pod (iptables/proxier.go).',
    steps: [
      {
        objects: [
          service({
            type: 'LoadBalancer',
            ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
            ingress: [{ ip: lb }],
            spec: { loadBalancerSourceRanges: ['192.168.88.100/32', '10.244.1.4/32'], externalTrafficPolicy: 'Local' },
          }),
          slice(['a', 'd']),
        ],
        probes: [
          tcp('ext', lb, 80, reaches(['a:8080'], ['192.168.88.100'])),
          tcp('node2', lb, 80, silent),
          tcp('node2', node4, 30080, reaches(['a:8080'], ['192.168.88.11'])),
          tcp('c', lb, 80, reaches(['a:8080', 'd:8080'], ['10.244.1.4'])),
          tcp('b', lb, 80, silent),
        ],
      },
    ],
  },
  {
    name: 'loadbalancer-ip-mode-proxy',
    about: 'An ingress address of ipMode Proxy is left to the load balancer (serviceport.go).',
    steps: [
      {
        objects: [
          service({
            type: 'LoadBalancer',
            ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
            ingress: [
              { ip: lb, ipMode: 'Proxy' },
              { ip: '203.0.113.6', ipMode: 'VIP' },
            ],
          }),
          slice(['a']),
        ],
        probes: [
          tcp('c', lb, 80, silent),
          tcp('c', '203.0.113.6', 80, reaches(['a:8080'])),
          tcp('ext', node4, 30080, reaches(['a:8080'])),
        ],
      },
    ],
  },
  {
    name: 'loadbalancer-address-moves',
    about: 'A load balancer gets another address; the old one stops, the new one answers.',
    steps: [
      { objects: ranged([]), probes: [tcp('ext', lb, 80, reaches(['a:8080']))] },
      {
        objects: [
          service({
            type: 'LoadBalancer',
            ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
            ingress: [{ ip: '203.0.113.99' }],
          }),
          slice(['a']),
        ],
        probes: [tcp('ext', '203.0.113.99', 80, reaches(['a:8080'])), tcp('ext', lb, 80, silent)],
      },
    ],
  },
  {
    name: 'external-ip-of-the-node',
    about:
      "An externalIP that is the node's own address: that port is the Service's, the others stay the node's (iptables/proxier.go).",
    steps: [
      {
        objects: [
          service({ ports: [{ port: 5001, targetPort: 8080 }], spec: { externalIPs: [node4] } }),
          slice(['a', 'd']),
        ],
        probes: [
          tcp('ext', node4, 5001, reaches(['a:8080', 'd:8080'])),
          tcp('c', node4, 5001, reaches(['a:8080', 'd:8080'])),
          tcp('node', node4, 5001, reaches(['a:8080', 'd:8080'])),
          tcp('ext', node4, 9999, reaches(['node:9999'])),
          tcp('ext', node4, 5002, refused),
        ],
      },
    ],
  },
  {
    name: 'external-ip-local',
    about: 'externalTrafficPolicy Local counts for a ClusterIP Service that has externalIPs (serviceport.go).',
    steps: [
      {
        objects: [
          service({ spec: { externalIPs: ['198.51.100.7', '198.051.100.008'], externalTrafficPolicy: 'Local' } }),
          slice(['a', 'd']),
        ],
        probes: [
          tcp('ext', '198.51.100.7', 80, reaches(['a:8080'], ['192.168.88.100'])),
          tcp('ext', '198.51.100.8', 80, reaches(['a:8080'], ['192.168.88.100'])),
          tcp('c', '198.51.100.7', 80, reaches(['a:8080', 'd:8080'], ['10.244.1.4'])),
        ],
      },
      {
        objects: [service({ spec: { externalIPs: ['198.51.100.7'], externalTrafficPolicy: 'Local' } }), slice(['d'])],
        probes: [tcp('ext', '198.51.100.7', 80, silent), tcp('c', '198.51.100.7', 80, reaches(['d:8080']))],
      },
    ],
  },
];
