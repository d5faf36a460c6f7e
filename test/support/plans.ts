/** Plans made without a cluster, for tests of backends. */
import type { Family } from '../../src/model/address';
import { serviceKey } from '../../src/model/cluster';
import type {
  Frontend,
  MutablePlan,
  NodeSettings,
  Plan,
  PlanChanges,
  PlanEndpoint,
  ServicePlan,
  ServicePortPlan,
} from '../../src/planner/plan';
import { makeSettings, podDetector } from './settings';

const settings = makeSettings({ zone: '', localDetector: podDetector });

export function endpoint(address: string, port = 8080, isLocal = false): PlanEndpoint {
  return { address, port, isLocal };
}

export function clusterIP(address: string, port = 80): Frontend {
  return {
    kind: 'ClusterIP',
    address,
    port,
    verdict: { kind: 'forward', endpoints: 'cluster' },
    masquerade: 'not-local-pods',
    localSourcesToCluster: false,
  };
}

export function servicePort(name: string, rest: Partial<ServicePortPlan>): ServicePortPlan {
  return {
    service: serviceKey('default', name),
    namespace: 'default',
    name,
    portName: '',
    protocol: 'TCP',
    frontends: [],
    clusterEndpoints: [],
    localEndpoints: [],
    servingEndpoints: [],
    affinitySeconds: 0,
    noLocalEndpoints: { internal: false, external: false },
    ...rest,
  };
}

export function service(ports: readonly ServicePortPlan[], healthCheckNodePort = 0): ServicePlan {
  const [first] = ports;
  if (first === undefined) throw new TypeError('a service has ports');
  return { key: first.service, ports, healthCheckNodePort, localReadyEndpoints: 0, endpointCount: 0 };
}

export function plan(family: Family, services: readonly ServicePlan[], over: Partial<NodeSettings> = {}): MutablePlan {
  return { family, settings: { ...settings, ...over }, services: new Map(services.map((one) => [one.key, one])) };
}

/** Contains every Service, changed or not. */
export function planDifference(before: Plan, after: Plan): PlanChanges {
  const keys = new Set([...before.services.keys(), ...after.services.keys()]);
  return new Map([...keys].map((key) => [key, after.services.get(key)]));
}

/** Every kind of rule that there is. */
export function everyKind(family: Family): ServicePlan[] {
  const v4 = family === 'IPv4';
  const vip = (n: number): string => (v4 ? `10.96.0.${n}` : `fd96::${n.toString(16)}`);
  const lb = (n: number): string => (v4 ? `203.0.113.${n}` : `2001:db8:1::${n.toString(16)}`);
  const pods = (count: number): PlanEndpoint[] =>
    Array.from({ length: count }, (_, i) =>
      endpoint(v4 ? `10.244.1.${i + 2}` : `fd44:1::${(i + 2).toString(16)}`, 8080, true),
    );
  const external = (kind: Frontend['kind'], address: string, port: number, over: Partial<Frontend> = {}): Frontend => ({
    ...clusterIP(address, port),
    kind,
    masquerade: 'always',
    ...over,
  });
  const range = v4 ? ['192.168.88.0/24', '192.168.99.100/32'] : ['fd88::/64'];
  const local = {
    verdict: { kind: 'forward', endpoints: 'local' },
    masquerade: 'never',
    localSourcesToCluster: true,
  } as const;
  const drop = {
    verdict: { kind: 'drop', why: 'no local endpoints' },
    masquerade: 'never',
    localSourcesToCluster: true,
  } as const;
  const reject = {
    verdict: { kind: 'reject', why: 'no endpoints' },
    masquerade: 'never',
    localSourcesToCluster: false,
  } as const;
  return [
    service([servicePort('plain', { frontends: [clusterIP(vip(10))], clusterEndpoints: pods(3) })]),
    service([
      servicePort('dns', {
        portName: 'dns',
        protocol: 'UDP',
        frontends: [clusterIP(vip(11), 53)],
        clusterEndpoints: pods(2),
      }),
      servicePort('dns', { portName: 'dns-tcp', frontends: [clusterIP(vip(11), 53)], clusterEndpoints: pods(2) }),
    ]),
    service([servicePort('sctp', { protocol: 'SCTP', frontends: [clusterIP(vip(12), 9)], clusterEndpoints: pods(1) })]),
    service([
      servicePort('affine', { frontends: [clusterIP(vip(13))], clusterEndpoints: pods(3), affinitySeconds: 10800 }),
    ]),
    service([
      servicePort('everywhere', {
        frontends: [
          clusterIP(vip(14)),
          external('ExternalIP', lb(100), 80),
          external('LoadBalancer', lb(1), 80, { sourceRanges: range, sourceRangesHaveNode: true }),
          external('NodePort', '', 30080),
        ],
        clusterEndpoints: pods(2),
      }),
    ]),
    service(
      [
        servicePort('local', {
          frontends: [
            clusterIP(vip(15)),
            external('LoadBalancer', lb(2), 80, local),
            external('NodePort', '', 30081, local),
          ],
          clusterEndpoints: pods(4),
          localEndpoints: pods(2),
        }),
      ],
      32100,
    ),
    service([
      servicePort('none-here', {
        frontends: [
          clusterIP(vip(16)),
          external('LoadBalancer', lb(3), 80, drop),
          external('NodePort', '', 30082, drop),
        ],
        clusterEndpoints: pods(2),
      }),
    ]),
    service([
      servicePort('empty', {
        frontends: [
          { ...clusterIP(vip(17)), ...reject },
          external('ExternalIP', lb(4), 80, reject),
          external('NodePort', '', 30083, reject),
        ],
      }),
    ]),
    service([
      servicePort('internal-drop', {
        frontends: [{ ...clusterIP(vip(18)), ...drop, localSourcesToCluster: false }],
        clusterEndpoints: [],
      }),
    ]),
    service([servicePort('big', { frontends: [clusterIP(vip(19))], clusterEndpoints: pods(200) })]),
    service([
      servicePort('big-affine', { frontends: [clusterIP(vip(20))], clusterEndpoints: pods(150), affinitySeconds: 60 }),
    ]),
    ...Array.from({ length: 40 }, (_, i) =>
      service([
        servicePort(`many-${i}`, {
          frontends: [
            { ...clusterIP(vip(100 + i)), ...(i % 2 ? reject : {}) },
            external('NodePort', '', 31000 + i, i % 2 ? reject : {}),
          ],
          clusterEndpoints: i % 2 ? [] : pods(1),
        }),
      ]),
    ),
  ];
}
