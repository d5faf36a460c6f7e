import { reaches, silent, tcp, udp } from '../checks';
import { service, slice } from '../objects';
import type { Scenario } from '../scenario';

const node4 = '192.168.88.10';
const vip = '10.96.0.10';
const asNode = ['10.244.1.1'];

export const sourceScenarios: readonly Scenario[] = [
  {
    name: 'hairpin-forward-drop',
    about: 'Masqueraded traffic passes a FORWARD policy of DROP, the hairpin too (iptables/proxier.go).',
    modes: ['iptables', 'ipvs'],
    steps: [
      {
        objects: [
          service({
            type: 'NodePort',
            clusterIPs: [vip, 'fd96::10'],
            ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
          }),
          slice(['a']),
          slice(['a'], { family: 'IPv6' }),
        ],
        run: ['$IPTABLES -P FORWARD DROP', '$IP6TABLES -P FORWARD DROP'],
        probes: [
          tcp('a', vip, 80, reaches(['a:8080'], asNode)),
          tcp('a', 'fd96::10', 80, reaches(['a:8080'], ['fd44:1::1'])),
          tcp('a', node4, 30080, reaches(['a:8080'], asNode)),
          tcp('ext', vip, 80, reaches(['a:8080'], asNode)),
          tcp('ext', node4, 30080, reaches(['a:8080'], asNode)),
          tcp('ext', 'fd88::10', 30080, reaches(['a:8080'], ['fd44:1::1'])),
          tcp('node', vip, 80, reaches(['a:8080'])),
          // The pod network's own traffic is for the CNI to let through.
          tcp('c', '10.244.1.2', 8080, silent),
        ],
      },
    ],
  },
  {
    name: 'forward-drop',
    about: 'nftables mode leaves a FORWARD policy of DROP to whoever set it (nftables/proxier.go).',
    modes: ['nftables'],
    steps: [
      {
        objects: [
          service({ type: 'NodePort', ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }] }),
          slice(['a']),
        ],
        run: ['$IPTABLES -P FORWARD DROP'],
        probes: [
          tcp('c', vip, 80, silent),
          tcp('ext', node4, 30080, silent),
          tcp('node', vip, 80, reaches(['a:8080'])),
        ],
      },
    ],
  },
  {
    name: 'hairpin-of-another-node',
    about:
      'A pod elsewhere that comes back to itself through this node is masqueraded in iptables mode, or its answer would not come back here.',
    steps: [
      {
        objects: [service(), slice(['d'])],
        probes: [tcp('d', vip, 80, reaches(['d:8080'], [node4]), { ipvs: silent, nftables: silent })],
      },
    ],
  },
  {
    name: 'hairpin-udp',
    about: 'A pod reaches itself over UDP through its own Service.',
    steps: [
      {
        objects: [
          service({ ports: [{ port: 53, targetPort: 53, protocol: 'UDP' }] }),
          slice(['a'], { ports: [{ port: 53, protocol: 'UDP' }] }),
        ],
        probes: [udp('a', vip, 53, reaches(['a:53'], asNode))],
      },
    ],
  },
  {
    name: 'local-by-interface-prefix',
    about: 'detectLocalMode InterfaceNamePrefix: what comes in by veth* is a pod of this node (util/localdetector.go).',
    config: { detectLocalMode: 'InterfaceNamePrefix', detectLocal: { interfaceNamePrefix: 'veth' } },
    steps: [
      {
        objects: [
          service({
            type: 'NodePort',
            ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
            spec: { externalTrafficPolicy: 'Local' },
          }),
          slice(['a', 'd']),
        ],
        probes: [
          tcp('c', vip, 80, reaches(['a:8080', 'd:8080'], ['10.244.1.4'])),
          tcp('c', node4, 30080, reaches(['a:8080', 'd:8080'], ['10.244.1.4'])),
          tcp('e', vip, 80, reaches(['a:8080', 'd:8080'], ['10.244.1.1', node4])),
          tcp('e', node4, 30080, reaches(['a:8080'])),
        ],
      },
    ],
  },
  {
    name: 'local-by-bridge',
    about:
      'detectLocalMode BridgeInterface: what comes in by that one device is a pod of this node (util/localdetector.go).',
    config: { detectLocalMode: 'BridgeInterface', detectLocal: { bridgeInterface: 'vethc' } },
    steps: [
      {
        objects: [service(), slice(['a'])],
        probes: [
          tcp('c', vip, 80, reaches(['a:8080'], ['10.244.1.4'])),
          tcp('b', vip, 80, reaches(['a:8080'], asNode)),
          tcp('ext', vip, 80, reaches(['a:8080'], asNode)),
        ],
      },
    ],
  },
  {
    name: 'local-by-node-cidr',
    about:
      "detectLocalMode NodeCIDR: the Node's podCIDRs, so that pods of other nodes are masqueraded (util/localdetector.go).",
    config: { detectLocalMode: 'NodeCIDR' },
    steps: [
      {
        objects: [service({ clusterIPs: [vip, 'fd96::10'] }), slice(['a']), slice(['a'], { family: 'IPv6' })],
        probes: [
          tcp('c', vip, 80, reaches(['a:8080'], ['10.244.1.4'])),
          tcp('e', vip, 80, reaches(['a:8080'], asNode)),
          tcp('c', 'fd96::10', 80, reaches(['a:8080'], ['fd44:1::4'])),
          tcp('e', 'fd96::10', 80, reaches(['a:8080'], ['fd44:1::1'])),
        ],
      },
    ],
  },
  {
    name: 'local-unknown',
    about:
      'Without a cluster CIDR no one is known to be off the cluster: ClusterIP traffic keeps its source (iptables/proxier.go, util/localdetector.go).',
    config: { clusterCIDR: '' },
    steps: [
      {
        objects: [
          service({ type: 'NodePort', ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }] }),
          slice(['a']),
        ],
        probes: [
          tcp('ext', vip, 80, reaches(['a:8080'], ['192.168.88.100'])),
          tcp('c', vip, 80, reaches(['a:8080'], ['10.244.1.4'])),
          tcp('ext', node4, 30080, reaches(['a:8080'], asNode)),
          tcp('a', vip, 80, reaches(['a:8080'], asNode)),
        ],
      },
    ],
  },
  {
    name: 'masquerade-bit',
    about: 'Another mark than 0x4000 masquerades as well (apis/config).',
    config: { iptables: { masqueradeBit: 20 }, nftables: { masqueradeBit: 20 } },
    steps: [
      {
        objects: [service(), slice(['a'])],
        probes: [
          tcp('ext', vip, 80, reaches(['a:8080'], asNode)),
          tcp('a', vip, 80, reaches(['a:8080'], asNode)),
          tcp('c', vip, 80, reaches(['a:8080'], ['10.244.1.4'])),
        ],
      },
    ],
  },
];
