import { describeFrontend, describeServices, sortedServices } from '../../src/planner/describe';
import { serviceKey } from '../../src/model/cluster';
import type { Frontend, ServicePlan } from '../../src/planner/plan';
import { clusterIP, endpoint, everyKind, plan, service, servicePort } from '../support/plans';

const web = servicePort('web', {});

test.each<[Partial<Frontend>, string]>([
  [{}, 'ClusterIP 10.96.0.10:80/tcp'],
  [{ kind: 'ExternalIP', address: 'fd00::1' }, 'ExternalIP [fd00::1]:80/tcp'],
  [{ kind: 'NodePort', address: '', port: 30080 }, 'NodePort 30080/tcp'],
  [{ verdict: { kind: 'forward', endpoints: 'local' } }, 'ClusterIP 10.96.0.10:80/tcp (Local)'],
  [{ verdict: { kind: 'reject', why: 'no endpoints' } }, 'ClusterIP 10.96.0.10:80/tcp (reject: no endpoints)'],
  [{ verdict: { kind: 'drop', why: 'no local endpoints' } }, 'ClusterIP 10.96.0.10:80/tcp (drop: no local endpoints)'],
  [
    {
      kind: 'LoadBalancer',
      sourceRanges: ['10.0.0.0/8', '192.0.2.0/24'],
      verdict: { kind: 'forward', endpoints: 'local' },
    },
    'LoadBalancer 10.96.0.10:80/tcp (from 10.0.0.0/8 192.0.2.0/24; Local)',
  ],
])('%j', (over, text) => {
  expect(describeFrontend(web, { ...clusterIP('10.96.0.10'), ...over })).toBe(text);
});

function named(namespace: string, name: string, endpoints = 0): ServicePlan {
  const port = servicePort(name, {
    service: serviceKey(namespace, name),
    namespace,
    frontends: [clusterIP('10.96.0.10')],
    clusterEndpoints: Array.from({ length: endpoints }, (_, i) => endpoint(`10.244.1.${i}`)),
  });
  return service([port]);
}

test('by namespace, then name: not by the text of both', () => {
  const services = [named('b', 'a'), named('a-b', 'a'), named('a', 'z'), named('a', 'b')];
  expect(sortedServices(plan('IPv4', services)).map(({ key }) => key)).toEqual(['a/b', 'a/z', 'a-b/a', 'b/a']);
});

test('columns are aligned', () => {
  const lines = describeServices(plan('IPv4', [named('default', 'a', 1), named('default', 'longer', 12)]));
  expect(lines.map(({ text }) => text)).toEqual([
    'default/a       1 endpoint    ClusterIP 10.96.0.10:80/tcp',
    'default/longer  12 endpoints  ClusterIP 10.96.0.10:80/tcp',
  ]);
});

test('an endpoint counts once over all ports and lists', () => {
  const lists = {
    clusterEndpoints: [endpoint('10.244.1.1'), endpoint('10.244.1.2')],
    localEndpoints: [endpoint('10.244.1.1')],
  };
  const both = service([
    servicePort('web', { portName: 'a', ...lists }),
    servicePort('web', { portName: 'b', clusterEndpoints: [endpoint('10.244.1.1', 9090)] }),
  ]);
  expect(describeServices(plan('IPv4', [both]))[0]?.text).toBe('default/web  2 endpoints');
});

test('no Services, no lines; lines end without blanks', () => {
  expect(describeServices(plan('IPv4', []))).toEqual([]);
  for (const { text } of describeServices(plan('IPv4', everyKind('IPv4')))) expect(text).toBe(text.trimEnd());
});
