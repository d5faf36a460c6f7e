import { listServices } from '../../src/planner/list-services';
import { clusterIP, endpoint, plan, service, servicePort } from '../support/plans';

const web = servicePort('web', {
  portName: 'http',
  frontends: [clusterIP('10.96.0.10'), { ...clusterIP('', 30080), kind: 'NodePort' }],
  clusterEndpoints: [
    { ...endpoint('10.244.1.2', 8080, true), weight: 3 },
    { ...endpoint('10.244.2.3'), weight: 1 },
  ],
  localEndpoints: [endpoint('10.244.1.2', 8080, true)],
  affinitySeconds: 10,
});
const dns = servicePort('dns', { frontends: [clusterIP('10.96.0.53', 53)], clusterEndpoints: [] });
const six = servicePort('web', { portName: 'http', frontends: [clusterIP('fd96::10')] });
const plans = [plan('IPv4', [service([web]), service([dns])]), plan('IPv6', [service([six])])];
const list = (search: string, offset = 0, limit = 10) => listServices(plans, { search, offset, limit });
const names = (search: string): string[] => list(search).services.map(({ name }) => name);

test('a Service has its ports of every family, frontends, and endpoints with their shares', () => {
  expect(list('web')).toEqual({
    total: 2,
    found: 1,
    services: [
      {
        name: 'default/web',
        ports: [
          {
            name: 'http',
            protocol: 'TCP',
            family: 'IPv4',
            frontends: ['ClusterIP 10.96.0.10:80/tcp', 'NodePort 30080/tcp'],
            endpointCount: 2,
            endpoints: [
              { address: '10.244.1.2:8080', isLocal: true, share: 0.75, localShare: 1 },
              { address: '10.244.2.3:8080', isLocal: false, share: 0.25 },
            ],
            affinitySeconds: 10,
          },
          expect.objectContaining({ family: 'IPv6', frontends: ['ClusterIP [fd96::10]:80/tcp'] }),
        ],
      },
    ],
  });
});

test.each([
  ['', ['default/dns', 'default/web']],
  ['WEB', ['default/web']],
  ['10.96.0.53', ['default/dns']],
  ['30080', ['default/web']],
  ['nodeport', ['default/web']],
  ['10.244.2.3', ['default/web']],
  ['10.244.2.3:8080', ['default/web']],
  ['fd96', ['default/web']],
  ['default 53', ['default/dns']],
  ['dns 30080', []],
  ['http', ['default/web']],
])('a search for %j finds %j', (search, expected) => {
  expect(names(search)).toEqual(expected);
});

test('pages follow each other in order of namespace and name', () => {
  const many = ['a-b', 'a', 'b'].map((namespace) =>
    service([servicePort('x', { namespace, service: `${namespace}/x` as typeof web.service })]),
  );
  const pages = [0, 1, 2, 3].map((offset) => listServices([plan('IPv4', many)], { search: '', offset, limit: 1 }));
  expect(pages.map(({ services }) => services[0]?.name)).toEqual(['a/x', 'a-b/x', 'b/x', undefined]);
  expect(pages.map(({ found }) => found)).toEqual([3, 3, 3, 3]);
});

test('of many endpoints the first hundred are listed, and all are counted and searched', () => {
  const clusterEndpoints = Array.from({ length: 300 }, (_, n) => endpoint(`10.1.${n >> 8}.${n & 255}`));
  const big = [plan('IPv4', [service([servicePort('big', { clusterEndpoints })])])];
  const { services, found } = listServices(big, { search: '10.1.1.43', offset: 0, limit: 10 });
  expect(found).toBe(1);
  expect(services[0]?.ports[0]).toMatchObject({ endpointCount: 300 });
  expect(services[0]?.ports[0]?.endpoints).toHaveLength(100);
});

test('10,000 services of 10 endpoints are searched without holding up the rest for long', () => {
  const services = Array.from({ length: 10_000 }, (_, n) => {
    const clusterEndpoints = Array.from({ length: 10 }, (_, i) => endpoint(`10.${n & 255}.${n >> 8}.${i}`));
    const name = `svc-${n}`;
    const frontends = [clusterIP(`10.96.${n >> 8}.${n & 255}`)];
    return service([servicePort(name, { frontends, clusterEndpoints })]);
  });
  const big = [plan('IPv4', services)];
  for (const search of ['', 'svc-77', 'nowhere']) {
    const start = performance.now();
    listServices(big, { search, offset: 0, limit: 200 });
    // Some 30 ms; a busy machine takes longer.
    expect(performance.now() - start).toBeLessThan(1000);
  }
});
