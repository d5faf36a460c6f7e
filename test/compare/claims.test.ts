import { collectClaims, keyOf } from '../../src/compare/claims';
import { clusterIP, plan, service, servicePort } from '../support/plans';

test('several Services may claim an address and port: the first by name comes first, and its kinds in order', () => {
  const vip = clusterIP('198.51.100.7');
  const balancer = { ...vip, kind: 'LoadBalancer' } as const;
  const made = plan('IPv4', [
    service([servicePort('zebra', { frontends: [vip] })]),
    service([servicePort('ant', { frontends: [balancer, clusterIP('10.96.0.1', 443)] })]),
    service([servicePort('ant-dns', { frontends: [vip], protocol: 'UDP' })]),
  ]);
  const claims = collectClaims(made);
  const ownersOf = (key: string): string[] | undefined =>
    claims.get(key)?.map(({ port, frontend }) => `${port.name} ${frontend.kind}`);
  expect(claims.size).toBe(3);
  expect(ownersOf('198.51.100.7 tcp 80')).toEqual(['ant LoadBalancer', 'zebra ClusterIP']);
  expect(ownersOf('198.51.100.7 udp 80')).toEqual(['ant-dns ClusterIP']);
  expect(ownersOf(keyOf({ address: '10.96.0.1', protocol: 'tcp', port: 443 }))).toEqual(['ant ClusterIP']);
});
