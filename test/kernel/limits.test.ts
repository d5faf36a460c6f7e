/** The bundle at the limits of the machine: it answers, it writes, and it does not end. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeAsRoot } from '../support/network-namespace';
import { until } from '../support/until';

/** Opens idle connections one after another without end, keeps them, and asks /healthz meanwhile. Prints the longest time to an answer. */
const flood = `
const { connect } = require('node:net');
const [count, ports] = [Number(process.argv[1]), process.argv[2].split(',').map(Number)];
const opened = [];
let done = 0;
for (let n = 0; n < count; n++) {
  const socket = connect(ports[n % ports.length], '127.0.0.1');
  socket.on('error', () => {}).on('connect', () => done++);
  opened.push(socket);
}
const answers = [];
const ask = () => new Promise((resolve) => {
  const startedMs = performance.now();
  const socket = connect(10256, '127.0.0.1', () => socket.write('GET /healthz HTTP/1.1\\r\\nHost: it\\r\\nConnection: close\\r\\n\\r\\n'));
  let text = '';
  socket.on('error', (error) => { text += error.code; });
  socket.on('data', (chunk) => (text += chunk)).on('close', () => {
    answers.push({ ms: performance.now() - startedMs, status: text.slice(9, 12) });
    resolve();
  });
});
(async () => {
  for (let n = 0; n < 20; n++) await ask();
  process.stdout.write(JSON.stringify({ done, answers }) + '\\n');
})();
`;

interface Flood {
  readonly done: number;
  readonly answers: readonly { readonly ms: number; readonly status: string }[];
}

class Node {
  readonly folder = mkdtempSync(join(tmpdir(), 'vipwire-limits-'));
  readonly child: ChildProcess;
  said = '';
  readonly manifest = join(this.folder, 'cluster.json');

  constructor(limits: readonly string[]) {
    this.serve('10.96.0.10');
    const program = [process.execPath, 'dist/vipwire.cjs', 'run', `--manifests=${this.manifest}`, '--watch'];
    const flags = ['--hostname-override=node', '--cluster-cidr=10.244.0.0/16', '--conntrack-max-per-core=0'];
    const inside = ['sh', '-c', 'ip link set lo up; exec "$@"', 'sh', 'prlimit', ...limits, ...program, ...flags];
    this.child = spawn('unshare', ['--net', ...inside], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (chunk: Buffer) => (this.said += chunk.toString()));
  }

  /** A Service with a load balancer. Its health check port is open too. */
  serve(clusterIP: string): void {
    const ports = [{ name: '', port: 80, protocol: 'TCP' }];
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        type: 'LoadBalancer',
        externalTrafficPolicy: 'Local',
        healthCheckNodePort: 31_000,
        clusterIP,
        clusterIPs: [clusterIP],
        ports,
      },
    };
    const slice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'web-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      ports: [{ name: '', port: 8080, protocol: 'TCP' }],
      endpoints: [{ addresses: ['10.244.1.2'], conditions: { ready: true }, nodeName: 'node' }],
    };
    writeFileSync(`${this.manifest}.new`, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [service, slice] }));
    renameSync(`${this.manifest}.new`, this.manifest);
  }

  /** In its network namespace. */
  run(file: string, ...args: readonly string[]): string {
    return execFileSync('nsenter', ['--target', `${this.child.pid}`, '--net', file, ...args], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
  }

  async writes(clusterIP: string): Promise<void> {
    const isWritten = (): boolean => {
      if (this.child.exitCode !== null) throw new Error(`it ended: ${this.said}`);
      try {
        return this.run('iptables-save').includes(`${clusterIP}/32`);
      } catch {
        // Another process writes at the same time, or the namespace does not exist yet.
        return false;
      }
    };
    const details = (): string => this.said.slice(-3000);
    await until(isWritten, { what: `rules of ${clusterIP}`, limitMs: 60_000, everyMs: 100, details });
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('close', resolve));
    if (this.child.exitCode === null && this.child.kill('SIGKILL')) await ended;
    rmSync(this.folder, { recursive: true });
  }
}

/** The number of clients in its network namespace that no listener had room for. */
function overflows({ pid }: ChildProcess): number {
  const [names = '', values = ''] = readFileSync(`/proc/${pid}/net/netstat`, 'utf8').split('\n');
  return Number(values.split(' ')[names.split(' ').indexOf('ListenOverflows')]);
}

let node: Node | undefined;
afterEach(async () => {
  await node?.end();
  node = undefined;
});

describeAsRoot('at the limits of the machine', () => {
  test.each([
    ['a usual limit of files', []],
    ['a hard limit of 1,024 files', ['--nofile=1024:1024']],
    ['a hard limit of 128 files', ['--nofile=128:128']],
  ])(
    'with %s, idle connections keep nobody from an answer, nor changes from the kernel',
    async (_, limits) => {
      node = new Node(limits);
      await node.writes('10.96.0.10');
      const flooding = spawn(
        'nsenter',
        ['--target', `${node.child.pid}`, '--net', process.execPath, '-e', flood, '2000', '10256,10249,31000'],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      try {
        const result = await new Promise<Flood>((resolve, reject) => {
          flooding.stdout.once('data', (text: Buffer) => resolve(JSON.parse(text.toString()) as Flood));
          flooding.once('exit', (code) => reject(new Error(`the flood ended: ${code}`)));
        });
        // They stay open during the change.
        node.serve('10.96.0.20');
        await node.writes('10.96.0.20');
        expect(new Set(result.answers.map(({ status }) => status))).toEqual(new Set(['200']));
        expect(node.child.exitCode).toBeNull();
        // Nobody had to try again, which would take a second each time.
        expect(overflows(node.child)).toBe(0);
      } finally {
        flooding.kill('SIGKILL');
      }
    },
    120_000,
  );
});
