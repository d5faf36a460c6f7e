import { reaches, refused, silent, tcp } from '../checks';
import { service, slice } from '../objects';
import type { ClusterObject, Scenario } from '../scenario';

const count = 1000;
const clusterIP = (n: number): string => `10.96.${8 + (n >> 8)}.${n & 255}`;
const loadBalancerIP = (n: number): string => `203.0.113.${n % 200}`;

/** Service n has its own ClusterIP and NodePort and shares a load-balancer address; every tenth has no endpoints. */
function manyServices(pod: 'a' | 'd'): ClusterObject[] {
  return Array.from({ length: count }, (_, n) => {
    const name = `s${n}`;
    const web = service({
      name,
      type: 'LoadBalancer',
      clusterIPs: [clusterIP(n)],
      ports: [{ port: 80 + Math.floor(n / 200), targetPort: 8080, nodePort: 30000 + n }],
      ingress: [{ ip: loadBalancerIP(n) }],
    });
    return n % 10 === 9 ? [web] : [web, slice([pod], { service: name })];
  }).flat();
}

const portOf = (n: number): number => 80 + Math.floor(n / 200);

export const scaleScenarios: readonly Scenario[] = [
  {
    name: 'thousand-services',
    about:
      'Among a thousand Services the first, the last and those between are found, by every way in, and the empty ones refuse.',
    steps: [
      {
        objects: manyServices('a'),
        probes: [
          ...[0, 1, 255, 256, 511, 512, 998].flatMap((n) => [
            tcp('c', clusterIP(n), portOf(n), reaches(['a:8080'], ['10.244.1.4'])),
            tcp('ext', '192.168.88.10', 30000 + n, reaches(['a:8080'])),
            tcp('node2', loadBalancerIP(n), portOf(n), reaches(['a:8080'])),
          ]),
          ...[9, 509, 999].flatMap((n) => [
            tcp('c', clusterIP(n), portOf(n), refused),
            tcp('ext', '192.168.88.10', 30000 + n, refused),
            tcp('node2', loadBalancerIP(n), portOf(n), refused),
          ]),
          tcp('b', clusterIP(count), 80, silent),
          tcp('b', clusterIP(0), 8080, silent, { ipvs: refused, nftables: refused }),
        ],
      },
      {
        objects: manyServices('d').slice(0, 1200),
        probes: [
          tcp('c', clusterIP(0), 80, reaches(['d:8080'], ['10.244.1.4'])),
          tcp('c', clusterIP(512), portOf(512), reaches(['d:8080'])),
          tcp('c', clusterIP(998), portOf(998), silent),
          tcp('ext', '192.168.88.10', 30998, refused),
        ],
      },
    ],
  },
];
