/** A Service whose only endpoint is the node's own address, with clients everywhere. */
import { service, slice } from '../conformance/objects';
import type { Explanation } from '../../src/explain/explain-connection';
import type { Lab } from './lab/lab';
import { vipwire } from './lab/proxied-node';
import { addresses, nodeEchoPort, type Place } from './lab/topology';

const own = addresses.node.IPv4;

export const hostNetworkObjects = [
  service({ type: 'NodePort', ports: [{ port: 80, targetPort: nodeEchoPort, nodePort: 30080 }] }),
  slice([['a', { address: own }]], { ports: [{ port: nodeEchoPort }] }),
];

const questions: readonly (readonly [from: Place, to: string, port: number])[] = [
  ['ext', '10.96.0.10', 80],
  ['ext', own, 30080],
  ['b', '10.96.0.10', 80],
  ['b', own, 30080],
  ['d', '10.96.0.10', 80],
  ['node', '10.96.0.10', 80],
  ['node', own, 30080],
];

interface Seen {
  /** What the server says. */
  readonly source: string;
  /** The first word of what explain says about it, such as `kept`. */
  readonly explained: string;
  readonly disagreement: string;
}

/** `compare` is what the command prints about the rules. Its last line is the exit code. */
export async function askAll(lab: Lab, node: readonly string[]): Promise<Record<string, unknown>> {
  const [file = '', ...args] = vipwire;
  const seen: Record<string, Seen | string> = {};
  for (const [from, to, port] of questions) {
    const [answer] = await lab.probe(from, { to, port, timeoutMs: 5000 });
    const client = from === 'node' ? 'node' : addresses[from].IPv4;
    const asked = [...args, 'explain', ...node, '-o', 'json', client, `${to}:${port}`];
    const { stdout } = await lab.run('node', 'sh', ['-c', '"$@" || true', 'sh', file, ...asked]);
    const { source, disagreement } = JSON.parse(stdout) as Explanation;
    seen[`${from} ${to}:${port}`] = {
      source: answer?.outcome === 'ok' ? answer.source : (answer?.outcome ?? ''),
      explained: /^\w+/.exec(source)?.[0] ?? '',
      disagreement,
    };
  }
  const compared = [file, ...args, 'compare', ...node, '-o', 'json'];
  const { stdout } = await lab.run('node', 'sh', ['-c', '"$@"; echo "exit $?"', 'sh', ...compared]);
  return { ...seen, compare: stdout.trimEnd().split('\n').at(-1) };
}

const kept = (from: Place): Seen => ({ source: addresses[from].IPv4, explained: 'kept', disagreement: '' });
const ofNode: Seen = { source: own, explained: 'masqueraded', disagreement: '' };

export const wantedSources: Record<string, unknown> = {
  ...Object.fromEntries(
    questions.map(([from, to, port]) => [`${from} ${to}:${port}`, from === 'node' ? ofNode : kept(from)]),
  ),
  compare: 'exit 0',
};
