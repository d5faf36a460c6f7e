import { http, reaches, refused, silent, tcp, udp } from '../checks';
import { service, slice } from '../objects';
import type { Scenario, Step } from '../scenario';

const node4 = '192.168.88.10';
const node6 = 'fd88::10';
const asNode = ['10.244.1.1'];

const nodePort = service({ type: 'NodePort', ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }] });
const dualNodePort = service({
  type: 'NodePort',
  clusterIPs: ['10.96.0.10', 'fd96::10'],
  ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
});

const local = { externalTrafficPolicy: 'Local' };

const everywhere: readonly Step[] = [
  {
    objects: [dualNodePort, slice(['a']), slice(['a'], { family: 'IPv6' })],
    probes: [
      tcp('node', '127.0.0.1', 30080, reaches(['a:8080'], asNode), { ipvs: refused }),
      tcp('node', '127.0.0.5', 30080, reaches(['a:8080'], asNode), { ipvs: refused }),
      tcp('node', '::1', 30080, refused),
      tcp('c', '10.244.1.1', 30080, reaches(['a:8080'], asNode)),
      tcp('ext', node6, 30080, reaches(['a:8080'], ['fd44:1::1'])),
      tcp('c', 'fd44:1::1', 30080, reaches(['a:8080'], ['fd44:1::1'])),
      tcp('ext', '192.168.88.11', 30080, refused),
    ],
  },
];

export const nodePortScenarios: readonly Scenario[] = [
  {
    name: 'nodeport-everywhere',
    about:
      'A NodePort answers on every address of the node, loopback included but in IPVS mode (util/nodeport_addresses.go, iptables/proxier.go, ipvs/proxier.go).',
    modes: ['iptables', 'ipvs'],
    steps: everywhere,
  },
  {
    name: 'nodeport-all',
    about:
      'nodePortAddresses all: the same in nftables mode (better than kube-proxy, which has no NodePorts on localhost there).',
    modes: ['nftables'],
    config: { nodePortAddresses: ['all'] },
    steps: everywhere,
  },
  {
    name: 'nodeport-by-default',
    about: 'nftables mode serves NodePorts on the primary addresses alone (app/server.go).',
    modes: ['nftables'],
    steps: [
      {
        objects: [dualNodePort, slice(['a']), slice(['a'], { family: 'IPv6' })],
        probes: [
          tcp('ext', node4, 30080, reaches(['a:8080'], asNode)),
          tcp('ext', node6, 30080, reaches(['a:8080'], ['fd44:1::1'])),
          tcp('node', '127.0.0.1', 30080, refused),
          tcp('node', '::1', 30080, refused),
          tcp('c', '10.244.1.1', 30080, refused),
        ],
      },
    ],
  },
  {
    name: 'nodeport-not-on-localhost',
    about:
      'localhostNodePorts false: the node itself still reaches NodePorts, on its other addresses (iptables/proxier.go).',
    modes: ['iptables', 'nftables'],
    config: { iptables: { localhostNodePorts: false } },
    steps: [
      {
        objects: [nodePort, slice(['a'])],
        probes: [
          tcp('node', '127.0.0.1', 30080, refused),
          tcp('node', node4, 30080, reaches(['a:8080'], asNode)),
          tcp('ext', node4, 30080, reaches(['a:8080'], asNode)),
        ],
      },
    ],
  },
  {
    name: 'nodeport-addresses-cidr',
    about:
      'nodePortAddresses names networks; the family that it does not name stays open (util/nodeport_addresses.go).',
    config: { nodePortAddresses: ['192.168.88.0/24'] },
    steps: [
      {
        objects: [dualNodePort, slice(['a']), slice(['a'], { family: 'IPv6' })],
        probes: [
          tcp('ext', node4, 30080, reaches(['a:8080'], asNode)),
          tcp('node', node4, 30080, reaches(['a:8080'], asNode)),
          tcp('c', '10.244.1.1', 30080, refused),
          tcp('node', '127.0.0.1', 30080, refused),
          tcp('c', 'fd44:1::1', 30080, reaches(['a:8080'])),
          tcp('ext', node6, 30080, reaches(['a:8080'])),
        ],
      },
    ],
  },
  {
    name: 'nodeport-addresses-primary',
    about:
      'nodePortAddresses primary: the addresses of the Node object alone, in both families (util/nodeport_addresses.go).',
    config: { nodePortAddresses: ['primary'] },
    steps: [
      {
        objects: [dualNodePort, slice(['a']), slice(['a'], { family: 'IPv6' })],
        probes: [
          tcp('ext', node4, 30080, reaches(['a:8080'], asNode)),
          tcp('ext', node6, 30080, reaches(['a:8080'])),
          tcp('c', '10.244.1.1', 30080, refused),
          tcp('c', 'fd44:1::1', 30080, refused),
        ],
      },
    ],
  },
  {
    name: 'nodeport-two-protocols',
    about: 'One port number over TCP and UDP, and each goes its own way (endpointslicecache.go).',
    steps: [
      {
        objects: [
          service({
            type: 'NodePort',
            ports: [
              { name: 'stream', port: 5000, targetPort: 8080, nodePort: 30500 },
              { name: 'packet', port: 5000, targetPort: 53, nodePort: 30500, protocol: 'UDP' },
            ],
          }),
          slice(['a'], { ports: [{ name: 'stream', port: 8080 }] }),
          slice(['b'], { name: 'web-packet', ports: [{ name: 'packet', port: 53, protocol: 'UDP' }] }),
        ],
        probes: [
          tcp('c', '10.96.0.10', 5000, reaches(['a:8080'], ['10.244.1.4'])),
          udp('c', '10.96.0.10', 5000, reaches(['b:53'], ['10.244.1.4'])),
          tcp('ext', node4, 30500, reaches(['a:8080'])),
          udp('ext', node4, 30500, reaches(['b:53'])),
          udp('node', '127.0.0.1', 30500, reaches(['b:53']), { ipvs: refused, nftables: refused }),
        ],
      },
    ],
  },
  {
    name: 'nodeport-hairpin',
    about: 'A pod that reaches itself by a NodePort gets an answer, under either policy (iptables/proxier.go).',
    steps: [
      { objects: [nodePort, slice(['a'])], probes: [tcp('a', node4, 30080, reaches(['a:8080'], asNode))] },
      {
        objects: [
          service({ type: 'NodePort', ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }], spec: local }),
          slice(['a']),
        ],
        probes: [
          tcp('a', node4, 30080, reaches(['a:8080'], asNode)),
          tcp('ext', node4, 30080, reaches(['a:8080'], ['192.168.88.100'])),
        ],
      },
    ],
  },
  {
    name: 'nodeport-udp-moves',
    about: 'A UDP flow through a NodePort leaves a pod that goes (conntrack/cleanup.go).',
    steps: [
      {
        objects: [
          service({ type: 'NodePort', ports: [{ port: 53, targetPort: 53, nodePort: 30053, protocol: 'UDP' }] }),
          slice(['a'], { ports: [{ port: 53, protocol: 'UDP' }] }),
        ],
        probes: [udp('ext', node4, 30053, reaches(['a:53']), { sport: 40002 })],
      },
      {
        objects: [
          service({ type: 'NodePort', ports: [{ port: 53, targetPort: 53, nodePort: 30053, protocol: 'UDP' }] }),
          slice(['d'], { ports: [{ port: 53, protocol: 'UDP' }] }),
        ],
        probes: [udp('ext', node4, 30053, reaches(['d:53']), { sport: 40002 })],
      },
    ],
  },
  {
    name: 'health-check-behind-firewall',
    about: 'The health check port is let in whatever the policy of INPUT (iptables/proxier.go).',
    modes: ['iptables', 'ipvs'],
    steps: [
      {
        objects: [
          service({
            type: 'LoadBalancer',
            ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
            ingress: [{ ip: '203.0.113.5' }],
            spec: { ...local, healthCheckNodePort: 32100 },
          }),
          slice(['a', 'b', 'd']),
        ],
        run: ['$IPTABLES -A INPUT -i lo -j ACCEPT', '$IPTABLES -P INPUT DROP'],
        probes: [
          http('ext', `http://${node4}:32100/healthz`, 200, { localEndpoints: 2 }),
          tcp('ext', node4, 32101, silent),
        ],
      },
    ],
  },
];
