import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Plan, ServicePlan } from '../../src/planner/plan';
import { FakeIptables } from '../support/fake-iptables';
import { Bundle, type Ended } from './bundle';

const examples = resolve('manifests/examples');
let bundle: Bundle;
beforeAll(() => {
  bundle = Bundle.make();
});
afterAll(() => bundle.remove());

const render = (args: readonly string[], input?: string): Promise<Ended> =>
  bundle.run(['render', ...args], input === undefined ? {} : { input });

function service(name: string, namespace = 'default'): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { clusterIP: '10.96.0.10', clusterIPs: ['10.96.0.10'], ports: [{ port: 80, protocol: 'TCP' }] },
  });
}

function slice(name: string, address: string, nodeName: string): string {
  return JSON.stringify({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-1`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: [{ addresses: [address], conditions: { ready: true }, nodeName }],
  });
}

function node(name: string, address: string): string {
  const status = { addresses: [{ type: 'InternalIP', address }] };
  return JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: {}, status });
}

const listOf = (...items: string[]): string => `{"apiVersion":"v1","kind":"List","items":[${items.join(',')}]}`;

async function plansOf(
  args: readonly string[],
  input: string,
): Promise<(Omit<Plan, 'services'> & { services: ServicePlan[] })[]> {
  const { stdout } = await render(['-f', '-', '--output', 'json', ...args], input);
  return JSON.parse(stdout) as (Omit<Plan, 'services'> & { services: ServicePlan[] })[];
}

describe('rules', () => {
  test('of the examples are input of iptables-restore, the same each time, from files and from standard input', async () => {
    const first = await render(['-f', examples, '--node', 'node-a']);
    expect(first.code).toBe(0);
    const again = await render(['--node=node-a', examples]);
    expect(again.stdout).toBe(first.stdout);
    const [v4 = '', v6 = ''] = first.stdout.split(/^(?=# vipwire .*IPv6)/m);
    for (const text of [v4, v6]) {
      const tables = new FakeIptables();
      await tables.restore(text.replaceAll(/^#.*\n/gm, ''));
      expect(tables.tables.get('nat')?.get('KUBE-SERVICES')?.length).toBeGreaterThan(1);
    }
    expect(v4).toMatch(/^# vipwire \S+, IPv4, node node-a: input of iptables-restore --noflush\n/);
    expect(v6).toMatch(/^# vipwire \S+, IPv6, node node-a: input of ip6tables-restore --noflush\n/);
  });

  test('of standard input are those of the file, whatever the order of objects', async () => {
    const items = [service('web'), slice('web', '10.244.1.2', ''), service('api', 'shop')];
    const path = join(bundle.folder, 'cluster.json');
    writeFileSync(path, listOf(...items));
    const fromFile = await render(['-f', path]);
    const fromInput = await render(['-f', '-'], listOf(...[...items].reverse()));
    expect(fromFile.code).toBe(0);
    expect(fromInput.stdout).toBe(fromFile.stdout);
    expect(fromFile.stdout).toContain('-j DNAT --to-destination 10.244.1.2:8080');
  });

  test('are of one family, where that is asked for or the cluster has but one', async () => {
    const both = await render([examples]);
    expect(both.stdout.match(/^# vipwire/gm)).toHaveLength(2);
    const one = await render([examples, '--ip-family', 'IPv6']);
    expect(one.stdout.match(/^# vipwire \S+, (\S+),/gm)).toEqual([expect.stringContaining('IPv6')]);
    const single = await render(['-f', '-'], service('web'));
    expect(single.stdout.match(/^# vipwire/gm)).toHaveLength(1);
  });

  test('of an empty cluster are the fixed chains', async () => {
    const { code, stdout } = await render(['-f', '-'], listOf());
    expect(code).toBe(0);
    expect(stdout).toContain(':KUBE-SERVICES - [0:0]');
  });
});

describe('whose rules', () => {
  const local = (plan: { services: ServicePlan[] } | undefined): boolean | undefined =>
    plan?.services[0]?.ports[0]?.clusterEndpoints[0]?.isLocal;
  const cluster = (...nodes: string[]): string => listOf(service('web'), slice('web', '10.244.1.2', 'n1'), ...nodes);

  test('the Node that is named', async () => {
    const nodes = [node('n1', '192.0.2.1'), node('n2', '192.0.2.2')];
    expect(local((await plansOf(['--node', 'n1'], cluster(...nodes)))[0])).toBe(true);
    expect(local((await plansOf(['--node', 'n2'], cluster(...nodes)))[0])).toBe(false);
  });

  test('the only one that is given', async () => {
    const [plan] = await plansOf([], cluster(node('n1', '192.0.2.1')));
    expect(plan?.settings).toMatchObject({ nodeName: 'n1', nodeIPs: { IPv4: '192.0.2.1' } });
    expect(local(plan)).toBe(true);
  });

  test.each([['no Node was given'], ['2 Nodes were given', node('n1', '192.0.2.1'), node('n2', '192.0.2.2')]])(
    'a node without pods where nothing tells, and that is said: %s',
    async (why, ...nodes) => {
      const { stdout, stderr, code } = await render(['-f', '-'], cluster(...nodes));
      expect(code).toBe(0);
      expect(stdout).toContain(', a node without pods: ');
      expect(stderr).toContain(why);
      expect(
        stderr
          .trim()
          .split('\n')
          .filter((line) => line.includes('--node NAME')),
      ).toHaveLength(1);
    },
  );

  test('a Node that is named and that nobody described has its pods all the same', async () => {
    const [plan] = await plansOf(['--node=n1'], cluster());
    expect(plan?.settings.nodeName).toBe('n1');
    expect(local(plan)).toBe(true);
  });

  test('so has one that is named by the configuration file', async () => {
    const config = join(bundle.folder, 'config.yaml');
    const kind = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n';
    writeFileSync(config, `${kind}hostnameOverride: N1\n`);
    const [plan] = await plansOf(['--config', config], cluster());
    expect(plan?.settings.nodeName).toBe('n1');
    expect(local(plan)).toBe(true);
  });
});

describe('json', () => {
  test('has every Service once, in order, and is the same each time', async () => {
    const { stdout } = await render([examples, '--output', 'json', '--node', 'node-a']);
    expect((await render([examples, '--output=json', '--node', 'node-a'])).stdout).toBe(stdout);
    const plans = JSON.parse(stdout) as { family: string; services: ServicePlan[] }[];
    expect(plans.map(({ family }) => family)).toEqual(['IPv4', 'IPv6']);
    for (const { services } of plans) {
      const names = services.map(({ ports }) => [ports[0]?.namespace, ports[0]?.name].join('\0'));
      expect(names).toEqual([...new Set(names)].sort());
    }
  });
});

describe('summary', () => {
  test('columns are aligned', async () => {
    const { stdout } = await render([examples, '--output', 'summary', '--ip-family=IPv4', '--node', 'node-a']);
    const [title, ...rows] = stdout.trimEnd().split('\n');
    expect(title).toMatch(/^IPv4, node node-a: \d+ services$/);
    const starts = [...(rows[0] ?? '').matchAll(/\S+/g)].map(({ index }) => index);
    expect(rows[0]).toMatch(/^SERVICE +PORT +FRONTEND +ENDPOINTS +HERE +MASQUERADE +AFFINITY$/);
    for (const row of rows) {
      for (const at of starts) expect(`${row.charAt(at - 1)}|${row.charAt(at)}`).toMatch(/^ ?\|\S$/);
      expect(row).toBe(row.trimEnd());
    }
  });
});

describe('mistakes are one line and exit 2', () => {
  const oneLine = ({ code, stdout, stderr }: Ended): string => {
    expect({ code, stdout, lines: stderr.split('\n').length }).toEqual({ code: 2, stdout: '', lines: 2 });
    return stderr;
  };

  test.each([
    [['-f', '/nowhere/x.yaml'], /^vipwire: cannot read manifests: \/nowhere\/x\.yaml: no such file or folder\n$/],
    [['-f', '-', '--output', 'xml'], /^vipwire: --output: "xml" is not one of rules, json, summary\n$/],
    [['--nose', 'x'], /^vipwire: unknown flag --nose/],
  ])('%j', async (args, message) => {
    expect(oneLine(await render(args))).toMatch(message);
  });

  test('a manifest that is none', async () => {
    const broken = 'kind: Service\n  name: [\n';
    expect(oneLine(await render(['-f', '-'], broken))).toMatch(/^vipwire: .*-:\d+:\d+: /);
    const path = join(bundle.folder, 'broken.yaml');
    writeFileSync(path, broken);
    expect(oneLine(await render(['-f', path]))).toMatch(/broken\.yaml:\d+:\d+: /);
  });
});

test('one object that is unusable is warned of, and the rest is rendered', async () => {
  const unusable = service('Not A Name');
  const { code, stdout, stderr } = await render(['-f', '-'], listOf(unusable, service('web')));
  expect(code).toBe(0);
  expect(stdout).toContain('# default/web');
  expect(stderr).toContain('Not A Name');
});

test('a reader that goes away is no error', async () => {
  const child = bundle.start(['render', '-f', examples]);
  child.stdout?.once('data', () => child.stdout?.destroy());
  const code = await new Promise((done) => child.on('close', done));
  expect(code).toBe(0);
});
