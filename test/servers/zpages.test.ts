import { parse } from 'yaml';
import { MetricsServer } from '../../src/servers/metrics-server';
import { answerFlagz, answerStatusz, chooseForm, type Component } from '../../src/servers/zpages';
import { ProxyMetrics } from '../../src/telemetry/metrics';
import { recordLog, TestClock } from './listening';

const component: Component = {
  name: 'vipwire',
  version: '1.2.3',
  emulates: '1.36',
  startMs: Date.now() - 3_723_500,
  flags: { v: '4', 'cluster-cidr': '10.244.0.0/16', 'dry-run': 'false' },
  paths: ['/flagz', '/metrics'],
};
let server: MetricsServer;
beforeAll(async () => {
  server = new MetricsServer({
    address: { address: '127.0.0.1', port: 0 },
    hardFail: true,
    metrics: new ProxyMetrics('0'),
    mode: () => 'iptables',
    pages: { '/statusz': answerStatusz(component), '/flagz': answerFlagz(component) },
    clock: new TestClock(0),
    log: recordLog().log,
  });
  await server.start();
});
afterAll(() => server.stop());

function ask(path: string, accept: string): Promise<Response> {
  return fetch(`http://127.0.0.1:${server.address()?.port ?? 0}${path}`, { headers: { accept } });
}

const beta = { kind: 'object', encoding: 'json', version: 'v1beta1' };
const alpha = { ...beta, version: 'v1alpha1' };
test.each([
  ['', { kind: 'text' }],
  ['text/plain', { kind: 'text' }],
  ['text/plain;charset=utf-8', { kind: 'text' }],
  ['*/*', { kind: 'text' }],
  ['application/xml', undefined],
  ['application/json', undefined],
  ['application/json;v=v1beta1;g=config.k8s.io', undefined],
  ['application/json;v=v1beta1;g=config.k8s.io;as=Flagz', undefined],
  ['application/json;v=v1;g=config.k8s.io;as=Statusz', undefined],
  ['application/json;v=v1;g=config.k8s.io;as=Statusz,*/*', { kind: 'text' }],
  ['application/json;v=v1beta1;g=config.k8s.io;as=Statusz', beta],
  ['application/json; g=config.k8s.io; v=v1beta1; as=Statusz', beta],
  ['application/yaml;v=v1beta1;g=config.k8s.io;as=Statusz', { ...beta, encoding: 'yaml' }],
  [
    'application/json;g=config.k8s.io;v=v1alpha1;as=Statusz,application/json;g=config.k8s.io;v=v1beta1;as=Statusz',
    alpha,
  ],
  ['text/plain;q=0.5,application/json;g=config.k8s.io;v=v1beta1;as=Statusz', beta],
])('Accept %j', (accept, form) => {
  expect(chooseForm(accept, 'Statusz')).toEqual(form);
});

test('/statusz as text, and as an object', async () => {
  const text = await ask('/statusz', '');
  expect(text.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(await text.text()).toMatch(
    /^\nvipwire statusz\nWarning: .*\n\nStarted: .* GMT\nUp: 1 hr 02 min 0\d sec\nNode.js version: .*\nBinary version: 1\.2\.3\nEmulation version: 1\.36\nPaths: \/flagz \/metrics\n$/,
  );
  const json = await ask('/statusz', 'application/json;v=v1beta1;g=config.k8s.io;as=Statusz');
  expect([json.headers.get('content-type'), json.headers.get('warning')]).toEqual(['application/json', null]);
  const object = (await json.json()) as Record<string, unknown>;
  expect(object).toEqual({
    kind: 'Statusz',
    apiVersion: 'config.k8s.io/v1beta1',
    metadata: { name: 'vipwire' },
    startTime: `${new Date(component.startMs).toISOString().slice(0, 19)}Z`,
    uptimeSeconds: expect.any(Number) as number,
    binaryVersion: '1.2.3',
    emulationVersion: '1.36',
    paths: ['/flagz', '/metrics'],
  });
  expect(Math.abs((object['uptimeSeconds'] as number) - 3723)).toBeLessThan(5);
});

test('/flagz as text, as JSON and as YAML, in order of names', async () => {
  const flags = { 'cluster-cidr': '10.244.0.0/16', 'dry-run': 'false', v: '4' };
  expect(await (await ask('/flagz', '*/*')).text()).toMatch(
    /^\nvipwire flagz\nWarning: .*\n\ncluster-cidr=10.244.0.0\/16\ndry-run=false\nv=4\n$/,
  );
  const yaml = await ask('/flagz', 'application/yaml;v=v1alpha1;g=config.k8s.io;as=Flagz');
  expect(yaml.headers.get('content-type')).toBe('application/yaml');
  expect(yaml.headers.get('warning')).toMatch(/^299 - ".*v1alpha1 Flagz is deprecated/);
  const metadata = { name: 'vipwire' };
  expect(parse(await yaml.text())).toEqual({ kind: 'Flagz', apiVersion: 'config.k8s.io/v1alpha1', metadata, flags });
});

test('who asks for what there is not is told what there is', async () => {
  const response = await ask('/flagz', 'application/json');
  expect([response.status, await response.text()]).toEqual([
    406,
    'accepted are text/plain and application/json;v=v1beta1;g=config.k8s.io;as=Flagz (or application/yaml)\n',
  ]);
});
