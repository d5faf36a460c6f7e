/** Each step of scripts/kind-compare by itself: what it reads, decides and counts is real, the cluster is not. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { parse } from 'yaml';
import { Bundle } from '../cli/bundle';
import { addScripts, StandIns } from './stand-ins';

jest.setTimeout(30_000);

let bundle: Bundle;
let cluster: StandIns;
beforeAll(() => {
  bundle = Bundle.make();
  addScripts(bundle);
});
beforeEach(() => (cluster = new StandIns(bundle)));
afterAll(() => bundle.remove());

describe('cluster-config', () => {
  test.each([
    ['iptables', 'ipv4', '10.244.0.0/16'],
    ['ipvs', 'ipv6', 'fd00:10:244::/56'],
    ['nftables', 'dual', '10.244.0.0/16,fd00:10:244::/56'],
  ])('%s %s', async (mode, family, pods) => {
    const { stdout } = await cluster.run('kind/cluster-config', [mode, family]);
    expect(parse(stdout)).toMatchObject({
      kind: 'Cluster',
      name: 'vipwire',
      networking: { ipFamily: family, kubeProxyMode: mode, podSubnet: pods },
      nodes: [
        { role: 'control-plane' },
        { role: 'worker', labels: { 'topology.kubernetes.io/zone': 'z1' } },
        { role: 'worker', labels: { 'topology.kubernetes.io/zone': 'z2' } },
      ],
    });
  });

  test.each([[['ipv4', 'iptables']], [['userspace', 'ipv4']], [['ipvs', 'ipv5']], [[]], [['ipvs', 'ipv4', 'x']]])(
    '%j is refused',
    async (args) => {
      const { code, stdout } = await cluster.run('kind/cluster-config', args);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    },
  );
});

describe('apply-objects', () => {
  const service = (name: string, status?: object): object => ({
    kind: 'Service',
    metadata: { name, namespace: 'a' },
    status,
  });
  const status = { loadBalancer: { ingress: [{ ip: '198.18.0.1' }] } };
  const items = [service('plain'), service('balanced', status)];

  test('objects, then what only status can say', async () => {
    cluster.write('objects.json', JSON.stringify({ items }));
    expect((await cluster.run('kind/apply-objects', ['objects.json'])).code).toBe(0);
    expect(cluster.called()).toEqual([
      'kubectl apply --server-side -f objects.json',
      `kubectl -n a patch service balanced --subresource=status --type=merge -p ${JSON.stringify({ status })}`,
    ]);
  });

  test('a status that is refused is a failure', async () => {
    cluster.write('objects.json', JSON.stringify({ items }));
    cluster.set('kubectl', '[[ $* != *patch* ]]');
    expect((await cluster.run('kind/apply-objects', ['objects.json'])).code).not.toBe(0);
  });
});

describe('compare-nodes', () => {
  const once = { VIPWIRE_TRIES: '2', VIPWIRE_PAUSE: '0' };

  test.each([
    ['iptables', /^IPv4, node node, iptables mode: .* the same\n$/],
    ['ipvs', /^IPv4, node node, ipvs mode: .* the same; known and intended differences below\n/],
    ['nftables', /^IPv4, node node, nftables mode: .* the same\n$/],
  ] as const)('%s: the same', async (mode, said) => {
    cluster.holdRecording(mode, 'nodeport-local.2');
    const { code, stdout, stderr } = await cluster.run('kind/compare-nodes', ['results'], once);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(said);
    expect(cluster.called()).toContain(
      'docker run --rm --interactive --privileged --network container:node --entrypoint bash vipwire:kind -s',
    );
    for (const file of ['cluster.json', 'config.conf', 'node/comparison', 'node/iptables-save'])
      expect(existsSync(join(cluster.folder, 'results', file))).toBe(true);
  });

  test.each(['iptables', 'ipvs'] as const)(
    '%s: what Docker and kind write beside it makes no difference',
    async (mode) => {
      cluster.holdRecording(mode, 'nodeport-local.2', besideDockerAndKind);
      const { code, stdout } = await cluster.run('kind/compare-nodes', ['results'], once);
      expect(stdout).toMatch(/^IPv4, .*: the same/);
      expect(readFileSync(join(cluster.folder, 'results/node/iptables-save'), 'utf8')).toContain('-j KIND-MASQ-AGENT');
      expect(code).toBe(0);
    },
  );

  test('a difference is looked at again, and then is one', async () => {
    cluster.holdRecording('iptables', 'source-ranges.1', (rules) =>
      rules.replace('10.244.1.3:8080', '10.244.1.9:8080'),
    );
    const { code, stdout } = await cluster.run('kind/compare-nodes', ['results'], once);
    expect(code).toBe(1);
    expect(stdout).toContain('endpoint extra    10.244.1.9:8080');
    expect(cluster.called().filter((call) => call.startsWith('docker run'))).toHaveLength(2);
  });

  test('rules that cannot be had: could not tell', async () => {
    cluster.holdRecording('iptables', 'nodeport.1');
    cluster.set('iptables-nft-save', 'exit 4');
    expect((await cluster.run('kind/compare-nodes', ['results'], once)).code).toBe(2);
  });
});

describe('swap-proxy', () => {
  const ready = 'docker exec one curl --fail --silent --show-error http://localhost:10256/readyz';

  test('in: waits until each node says that its rules are in force', async () => {
    cluster.set('kind', 'echo one; echo two');
    cluster.set('docker', '[[ $(grep -c "exec $2 " "$FOLDER/calls") -ge 2 ]]');
    expect((await cluster.run('kind/swap-proxy', ['in'], { VIPWIRE_PAUSE: '0' })).code).toBe(0);
    expect(cluster.called()).toEqual([
      'kubectl -n kube-system set image daemonset/kube-proxy kube-proxy=vipwire:kind',
      'kubectl -n kube-system rollout status daemonset/kube-proxy --timeout=5m',
      'kind get nodes --name vipwire',
      ...[ready, ready, ready.replace('one', 'two'), ready.replace('one', 'two')],
    ]);
  });

  test('out: kube-proxy has no /readyz', async () => {
    cluster.set('kind', 'echo one');
    expect((await cluster.run('kind/swap-proxy', ['out'])).code).toBe(0);
    expect(cluster.called()).toEqual([
      'kubectl -n kube-system rollout undo daemonset/kube-proxy',
      'kubectl -n kube-system rollout status daemonset/kube-proxy --timeout=5m',
      'kind get nodes --name vipwire',
      ready.replace('readyz', 'healthz'),
    ]);
  });

  test.each([[['about']], [[]]])('%j is refused', async (args) => {
    expect((await cluster.run('kind/swap-proxy', args)).code).toBe(2);
  });
});

describe('count-through', () => {
  const quick = { VIPWIRE_BEFORE: '0.3', VIPWIRE_AFTER: '0.3' };
  let server: ReturnType<typeof spawn>;

  /** The pods' program, as start-steady gives it to the cluster, with a server here. */
  beforeEach(async () => {
    cluster.set('kubectl', 'for arg in "$@"; do [[ $arg != --from-file=* ]] || cp "${arg#*=}" "$FOLDER"; done');
    expect((await cluster.run('kind/start-steady')).code).toBe(0);
    const program = join(cluster.folder, 'steady.cjs');
    const port = await freePort();
    server = spawn(process.execPath, [program, 'serve', String(port)]);
    cluster.set(
      'kubectl',
      `case "$*" in
        *"get service"*) echo 127.0.0.1 ::1 ;;
        *exec*) echo "\${@: -2}" >"$FOLDER/asked"; exec node "${program}" ask "[127.0.0.1]:${port}" ;;
      esac`,
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
  });
  afterEach(() => server.kill());

  test('none failed', async () => {
    const { code, stdout } = await cluster.run('kind/count-through', ['sleep', '0.4'], quick);
    expect(stdout).toMatch(/: \d{2,} connections, 0 failed\n {2}answered by \S+ \d{2,}\n/);
    expect(code).toBe(0);
    expect(readFileSync(join(cluster.folder, 'asked'), 'utf8')).toBe('[127.0.0.1]:80 [::1]:80\n');
  });

  test('one failed', async () => {
    const { code, stdout } = await cluster.run('kind/count-through', ['kill', String(server.pid)], quick);
    expect(stdout).toMatch(/ [1-9]\d* failed\n[^]*\n {2}(refused|closed|error:ECONNRESET) at 20/);
    expect(code).toBe(1);
  });

  test('the command failed', async () => {
    expect((await cluster.run('kind/count-through', ['sh', '-c', 'exit 7'], quick)).code).toBe(7);
  });
});

describe('conformance', () => {
  const log = (ran: number): string =>
    `\x1b[1mRan ${ran} of 7321 Specs in 913.512 seconds\x1b[0m\nSUCCESS! -- ${ran} Passed\n`;

  test.each([
    ['all passed', log(21), 0, 0],
    ['the focus met none', log(0), 0, 1],
    ['no word of any', '', 0, 1],
    ['one failed', log(21), 3, 3],
  ])('%s', async (_, text, hydrophone, expected) => {
    cluster.write('log', text);
    cluster.set('hydrophone', `cp "$FOLDER/log" results/e2e.log; exit ${hydrophone}`);
    expect((await cluster.run('kind/conformance', ['results'])).code).toBe(expected);
    const [call] = cluster.called();
    const [, focus = ''] = / --focus (\S+ \S+) /.exec(call ?? '') ?? [];
    expect('[sig-network] Services should serve a basic endpoint from pods  [Conformance]').toMatch(new RegExp(focus));
    expect('[sig-network] Services should have session affinity work [LinuxOnly]').not.toMatch(new RegExp(focus));
  });
});

/** Docker's DNS, by the node's own address, and masquerading on the way out of the cluster. */
function besideDockerAndKind(rules: string): string {
  const chains = ['DOCKER_OUTPUT', 'DOCKER_POSTROUTING', 'KIND-MASQ-AGENT'];
  const added = `
-A PREROUTING -d 172.18.0.1/32 -j DOCKER_OUTPUT
-A OUTPUT -d 172.18.0.1/32 -j DOCKER_OUTPUT
-A POSTROUTING -d 172.18.0.1/32 -j DOCKER_POSTROUTING
-A POSTROUTING -m addrtype ! --dst-type LOCAL -m comment --comment "kind-masq-agent" -j KIND-MASQ-AGENT
-A DOCKER_OUTPUT -d 172.18.0.1/32 -p tcp -m tcp --dport 53 -j DNAT --to-destination 127.0.0.11:35461
-A DOCKER_OUTPUT -d 172.18.0.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:51011
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p tcp -m tcp --sport 35461 -j SNAT --to-source 172.18.0.1:53
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p udp -m udp --sport 51011 -j SNAT --to-source 172.18.0.1:53
-A KIND-MASQ-AGENT -d 10.244.0.0/16 -m comment --comment "kind-masq-agent: local traffic" -j RETURN
-A KIND-MASQ-AGENT -m comment --comment "kind-masq-agent: outbound traffic" -j MASQUERADE`;
  return rules.replace(
    /(\*nat\n(?::.*\n)*)/,
    `$1${chains.map((chain) => `:${chain} - [0:0]\n`).join('')}${added.slice(1)}\n`,
  );
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
