/** The order of the steps, and what becomes of the cluster. */
import { Bundle, type Ended } from '../cli/bundle';
import { addScripts, StandIns } from './stand-ins';
import type { TracedMode } from '../../src/trace/rules-kind';

jest.setTimeout(30_000);

let bundle: Bundle;
beforeAll(() => {
  bundle = Bundle.make();
  addScripts(bundle);
});
afterAll(() => bundle.remove());

const quick = { VIPWIRE_BEFORE: '0', VIPWIRE_AFTER: '0', VIPWIRE_TRIES: '1' };

function clusterIn(mode: TracedMode): StandIns {
  const cluster = new StandIns(bundle);
  cluster.holdRecording(mode, 'nodeport-local.2');
  cluster.set('hydrophone', 'echo "Ran 20 of 7000 Specs in 9 seconds" >"${@: -1}/e2e.log"');
  return cluster;
}

/** What changes the cluster, and looks at its rules. */
const steps = /^(docker (build|run)|kind (create|load|export|delete)|hydrophone|kubectl .*(set image|undo|apply|exec))/;

interface Run extends Ended {
  readonly calls: readonly string[];
}

async function run(cluster: StandIns, args: readonly string[]): Promise<Run> {
  const ended = await cluster.run('kind-compare', args, quick);
  const calls = cluster.called().filter((call) => steps.test(call));
  return { ...ended, calls: calls.map((call) => call.split(' ').slice(0, 3).join(' ')) };
}

/** When a step fails, the failed test shows everything that was printed. */
function expectSuccess({ code, stdout, stderr }: Run): void {
  if (code !== 0) throw new Error(`exit code ${code}\n${stderr}\n${stdout}`);
  expect(stderr).toBe('');
}

test('iptables: compared, swapped under connections, compared, tested, and back', async () => {
  const ended = await run(clusterIn('iptables'), ['iptables', 'dual', 'results']);
  expectSuccess(ended);
  expect(ended.calls).toEqual([
    'docker build --tag',
    'kind create cluster',
    'kind load docker-image',
    'kubectl apply --server-side',
    'docker run --rm',
    'kubectl apply -f',
    'kubectl -n steady',
    'kubectl -n kube-system',
    'docker run --rm',
    'hydrophone --focus \\[sig-network\\]',
    'kubectl -n steady',
    'kubectl -n kube-system',
    'docker run --rm',
    'kind delete cluster',
  ]);
});

test('nftables: compared alone', async () => {
  const ended = await run(clusterIn('nftables'), ['nftables', 'ipv4', 'results']);
  expectSuccess(ended);
  expect(ended.calls.slice(4)).toEqual(['docker run --rm', 'kind delete cluster']);
});

test('what failed is said, its logs are kept, and the cluster goes', async () => {
  const cluster = clusterIn('ipvs');
  cluster.set('hydrophone', 'exit 1');
  const { code, calls, stderr } = await run(cluster, ['ipvs', 'ipv6', 'results']);
  expect(calls.slice(-3)).toEqual(['hydrophone --focus \\[sig-network\\]', 'kind export logs', 'kind delete cluster']);
  expect(stderr).toMatch(/^kind-compare: conformance: failed \(1\) after \d+ s$/m);
  expect(code).toBe(1);
});

test.each([[['ipvs']], [['iptables', 'ipv7']]])('%j: nothing is begun', async (args) => {
  const cluster = clusterIn('iptables');
  const { code, calls } = await run(cluster, args);
  expect([code, calls]).toEqual([2, []]);
});
