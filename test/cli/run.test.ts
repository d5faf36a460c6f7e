import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { FakeIptables } from '../support/fake-iptables';
import { freePort, occupy, portOf, release } from '../servers/listening';
import { Bundle, ended } from './bundle';
import { until } from '../support/until';

let bundle: Bundle;
beforeAll(() => {
  bundle = Bundle.make();
});
afterAll(() => bundle.remove());

function manifest(...addresses: string[]): string {
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  };
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { clusterIP: '10.96.0.10', clusterIPs: ['10.96.0.10'], ports: [{ port: 80, protocol: 'TCP' }] },
  };
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [service, slice] });
}

function folderWith(name: string, text: string): string {
  const folder = join(bundle.folder, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'cluster.json'), text);
  return folder;
}

const dryRun = ['run', '--dry-run', '--hostname-override=node', '--cluster-cidr=10.244.0.0/16'];
const title = /^# \S+Z (ip6?tables-restore) --noflush$/gm;

/** The batches of one family, each of which iptables-restore takes after those before it. */
function batchesOf(stdout: string, tool: string): string[] {
  const parts = stdout.split(/^# \S+Z (?=ip6?tables-restore --noflush$)/m).slice(1);
  return parts.filter((part) => part.startsWith(`${tool} `)).map((part) => part.slice(part.indexOf('\n') + 1));
}

test('a dry run of manifests prints a batch a family, compared with nothing, and ends', async () => {
  const folder = folderWith('once', manifest('10.244.1.2'));
  const { code, stdout, stderr } = await bundle.run([...dryRun, '--manifests', folder]);
  expect(code).toBe(0);
  expect([...stdout.matchAll(title)].map(([, tool]) => tool).sort()).toEqual(['ip6tables-restore', 'iptables-restore']);
  expect(stderr).toContain('compared with none');
  for (const tool of ['iptables-restore', 'ip6tables-restore']) {
    const tables = new FakeIptables();
    await tables.restore(batchesOf(stdout, tool).join(''));
    expect(tables.tables.get('nat')?.has('KUBE-MARK-MASQ')).toBe(true);
  }
  expect(batchesOf(stdout, 'iptables-restore').join('')).toContain('-j DNAT --to-destination 10.244.1.2:8080');
});

describe('with --watch', () => {
  let child: ChildProcess;
  afterEach(() => child.kill('SIGKILL'));

  test('it prints change by change, and ends when it is told to', async () => {
    const folder = folderWith('watched', manifest('10.244.1.2'));
    child = bundle.start([...dryRun, '--manifests', folder, '--watch']);
    const end = ended(child);
    let stdout = '';
    child.stdout?.on('data', (text: string) => (stdout += text));
    const saw = (what: string): Promise<number> => until(() => stdout.includes(what), { what, details: () => stdout });
    await saw('10.244.1.2:8080');
    await saw('ip6tables-restore');
    for (const address of ['10.244.1.3', '10.244.1.4']) {
      writeFileSync(join(folder, 'cluster.json'), manifest(address));
      await saw(`${address}:8080`);
    }
    child.kill('SIGTERM');
    expect((await end).code).toBe(0);
    const [first = '', ...changes] = batchesOf(stdout, 'iptables-restore');
    expect(changes).toHaveLength(2);
    // One endpoint that changes is one chain.
    for (const change of changes) expect(change.match(/^:/gm)).toHaveLength(1);
    const tables = new FakeIptables();
    for (const batch of [first, ...changes]) await tables.restore(batch);
    expect(tables.print()).toContain('--to-destination 10.244.1.4:8080');
    expect(tables.print()).not.toContain('--to-destination 10.244.1.2:8080');
    expect(batchesOf(stdout, 'ip6tables-restore')).toHaveLength(1);
  }, 20_000);
});

describe('mistakes are one line and exit 2', () => {
  test.each<[string[], RegExp]>([
    [['--manifests', '/nowhere'], /cannot read manifests: \/nowhere: no such file or folder$/],
    [['--watch'], /--watch goes with --manifests/],
    [['--kubeconfig', '/nowhere'], /\/nowhere/],
    [['--config', '/nowhere'], /\/nowhere/],
    [['--proxy-mode=userspace'], /--proxy-mode: kube-proxy removed userspace in 1.26: use iptables, ipvs or nftables$/],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await bundle.run([...dryRun, ...args]);
    const mistakes = stderr.split('\n').filter((line) => line.startsWith('vipwire: '));
    expect({ code, stdout, mistakes: mistakes.length }).toEqual({ code: 2, stdout: '', mistakes: 1 });
    expect(mistakes[0]).toMatch(message);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  test('manifests that cannot be parsed are no empty cluster', async () => {
    const folder = folderWith('broken', 'kind: Service\n  name: [\n');
    const { code, stdout, stderr } = await bundle.run([...dryRun, '--manifests', folder]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^vipwire: .*cluster\.json:\d+:\d+: /m);
  });
});

test('without iptables the daemon says so and ends: nothing keeps it alive', async () => {
  const folder = folderWith('serve', manifest('10.244.1.2'));
  const ports = ['healthz', 'metrics'].map(async (server) => `--${server}-bind-address=127.0.0.1:${await freePort()}`);
  const { code, stderr } = await bundle.run([
    'run',
    '--hostname-override=node',
    '--manifests',
    folder,
    ...(await Promise.all(ports)),
  ]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^vipwire: iptables cannot be used here .*iptables-nft: not found$/m);
}, 10_000);

/** An API server that takes events, and answers nothing else. */
class SilentApi {
  readonly events: Record<string, unknown>[] = [];
  readonly #server = createServer((request, response) => {
    if (request.method !== 'POST') return;
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      this.events.push(JSON.parse(body) as Record<string, unknown>);
      response.writeHead(201).end('{}');
    });
  });

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  get flag(): string {
    return `--master=http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close().closeAllConnections();
  }
}

test('a port that is not to be had ends it where that was asked for, and the cluster is told', async () => {
  const api = new SilentApi();
  await api.listen();
  const other = await occupy(0, '127.0.0.1');
  const addresses = [
    `--healthz-bind-address=127.0.0.1:${portOf(other)}`,
    `--metrics-bind-address=127.0.0.1:${await freePort()}`,
  ];
  const { code, stderr } = await bundle.run([
    'run',
    api.flag,
    '--hostname-override=node',
    '--bind-address-hard-fail',
    ...addresses,
  ]);
  await release(other);
  api.close();
  expect(code).toBe(2);
  expect(stderr).toMatch(/^vipwire: the healthz server cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/m);
  expect(api.events).toEqual([
    expect.objectContaining({ type: 'Warning', reason: 'FailedToStartProxierHealthcheck', action: 'StartKubeProxy' }),
  ]);
});

test('vipwire status without a daemon: one line, exit 2', async () => {
  const { code, stdout, stderr } = await bundle.run(['status', `--metrics-bind-address=127.0.0.1:${await freePort()}`]);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(/^vipwire: no status from http:\/\/127\.0\.0\.1:\d+\/vipwire\/status: .*ECONNREFUSED.*\n$/);
});

describe('before the API server and the tools have answered', () => {
  let silent: SilentApi;
  let child: ChildProcess;
  const ports = { healthz: 0, metrics: 0 };
  const ask = async (server: keyof typeof ports, path: string): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${ports[server]}${path}`);
    return `${response.status} ${await response.text()}`;
  };
  beforeEach(async () => {
    silent = new SilentApi();
    await silent.listen();
    const tools = join(bundle.folder, 'slow-tools');
    mkdirSync(tools, { recursive: true });
    for (const tool of ['iptables-nft', 'iptables-nft-save', 'iptables-legacy-save', 'ip', 'nft'])
      writeFileSync(join(tools, tool), '#!/bin/sh\nexec /bin/sleep 20\n', { mode: 0o755 });
    for (const server of ['healthz', 'metrics'] as const) ports[server] = await freePort();
    const addresses = Object.entries(ports).map(([name, free]) => `--${name}-bind-address=127.0.0.1:${free}`);
    const flags = [silent.flag, '--hostname-override=node', '--cluster-cidr=10.244.0.0/16'];
    child = bundle.start(['run', ...flags, ...addresses], tools);
    await until(() => ask('healthz', '/livez').then(Boolean, () => false), { everyMs: 20 });
  }, 20_000);
  afterEach(() => {
    child.kill('SIGKILL');
    silent.close();
  });

  test('it is alive, but not eligible and not ready, and says why', async () => {
    expect(await ask('healthz', '/livez')).toMatch(/^200 .*"healthy":true,"status":\{\}\}$/);
    expect(await ask('healthz', '/healthz')).toMatch(/^503 .*"nodeEligible":false,"healthy":true/);
    expect(JSON.parse((await ask('healthz', '/readyz')).slice(4))).toEqual({
      ready: false,
      reasons: ['Services and EndpointSlices are not all known yet', 'the tools of this machine have not answered yet'],
    });
  });

  test('metrics are told', async () => {
    await ask('healthz', '/healthz');
    expect(await ask('metrics', '/metrics')).toMatch(/^200 .*\nkubeproxy_proxy_healthz_total\{code="503"\} 1\n/s);
    expect(await ask('metrics', '/healthz')).toBe('200 ok');
  });

  test('and the configuration and flags that it runs with', async () => {
    const configz = JSON.parse((await ask('metrics', '/configz')).slice(4)) as Record<string, unknown>;
    expect(configz['kubeproxy.config.k8s.io']).toMatchObject({
      kind: 'KubeProxyConfiguration',
      clusterCIDR: '10.244.0.0/16',
      mode: 'iptables',
      healthzBindAddress: `127.0.0.1:${ports.healthz}`,
      iptables: { masqueradeBit: 14, syncPeriod: '30s' },
    });
    const flagz = await ask('metrics', '/flagz');
    for (const line of ['cluster-cidr=10.244.0.0/16', 'dry-run=false', 'iptables-masquerade-bit=14'])
      expect(flagz.split('\n')).toContain(line);
    expect(await ask('metrics', '/statusz')).toContain('Emulation version: 1.36\n');
    expect(await ask('metrics', '/debug/cpuprofile')).toMatch(/^404/);
  });

  test('vipwire status says so, and that it is not well', async () => {
    const { code, stdout } = await bundle.run(['status', `--metrics-bind-address=127.0.0.1:${ports.metrics}`]);
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^vipwire 0\.1\.0 on node, mode iptables, up \d+ s\nnot ready: Services and EndpointSlices /,
    );
    const json = await bundle.run(['status', '-o', 'json', `--metrics-bind-address=127.0.0.1:${ports.metrics}`]);
    expect(JSON.parse(json.stdout)).toMatchObject({ node: 'node', healthy: true, nodeEligible: false, families: {} });
  });

  test('the cluster is told that it starts', async () => {
    await until(() => silent.events.length > 0);
    expect(silent.events).toEqual([
      expect.objectContaining({ reason: 'Starting', note: 'vipwire 0.1.0 in mode iptables' }),
    ]);
  });

  test('it ends at once when it is told to', async () => {
    const end = ended(child);
    child.kill('SIGTERM');
    expect((await end).code).toBe(0);
  }, 3000);
});
