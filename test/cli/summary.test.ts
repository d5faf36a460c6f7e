import { printSummary } from '../../src/cli/summary';
import { clusterIP, endpoint, plan, service, servicePort } from '../support/plans';

test('a row a frontend with the list that serves it, columns aligned, no blanks at the end of lines', () => {
  const web = servicePort('web', {
    portName: 'http',
    frontends: [
      clusterIP('10.96.0.10'),
      {
        ...clusterIP('203.0.113.1'),
        kind: 'LoadBalancer',
        verdict: { kind: 'forward', endpoints: 'local' },
        masquerade: 'never',
      },
    ],
    clusterEndpoints: [endpoint('10.244.1.1', 8080, true), endpoint('10.244.2.1')],
    localEndpoints: [endpoint('10.244.1.1', 8080, true)],
    affinitySeconds: 600,
  });
  const dns = servicePort('dns', { protocol: 'UDP', frontends: [clusterIP('10.96.0.11', 53)] });
  expect(printSummary(plan('IPv4', [service([web]), service([dns])]))).toBe(
    `\
IPv4, node node: 2 services
SERVICE      PORT  FRONTEND                                 ENDPOINTS  HERE  MASQUERADE      AFFINITY
default/dns  -     ClusterIP 10.96.0.11:53/udp              0          0     not-local-pods  -
default/web  http  ClusterIP 10.96.0.10:80/tcp              2          1     not-local-pods  600 s
default/web  http  LoadBalancer 203.0.113.1:80/tcp (Local)  1          1     never           600 s
`,
  );
});

test('a node that nobody named', () => {
  expect(printSummary(plan('IPv6', [], { nodeName: '' }))).toBe(
    'IPv6, a node without pods: 0 services\nSERVICE  PORT  FRONTEND  ENDPOINTS  HERE  MASQUERADE  AFFINITY\n',
  );
});
