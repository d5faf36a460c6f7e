/** kube-proxy's part in a handover: what it does to the node of a busy cluster, call by call. */
import { CommandError } from '../../src/host/command';
import type { BusyCluster } from './busy-cluster';
import { canaryTables, jumps, type KubeProxyService, printServiceChains, printSync } from './kube-proxy-rules';

/** busyObjects as kube-proxy sees them. */
export const busyServices: readonly KubeProxyService[] = [
  {
    name: 'default/web',
    clusterIP: '10.96.0.10',
    port: 80,
    nodePort: 30080,
    endpoints: ['10.244.1.2:8080', '10.244.1.3:8080', '10.244.2.2:8080'],
  },
  { name: 'default/self', clusterIP: '10.96.0.11', port: 80, endpoints: ['10.244.1.4:8080'] },
];

/** Its first sync, whatever is on the node. Throws where kube-proxy would fail and try the same again for ever. */
export async function fullSync(cluster: BusyCluster, services: readonly KubeProxyService[]): Promise<void> {
  await ensureJumps(cluster);
  await restore(cluster, printSync(services, await savedNat(cluster)));
}

async function ensureJumps(cluster: BusyCluster): Promise<void> {
  for (const table of canaryTables) await ensureChain(cluster, table, 'KUBE-PROXY-CANARY');
  for (const { table, from, rule, to } of jumps) {
    await ensureChain(cluster, table, to);
    const present = await succeeds(cluster.iptables('-t', table, '-C', from, ...rule));
    if (!present) await cluster.iptables('-t', table, '-I', from, ...rule);
  }
}

/** A later sync, after these Services were changed or removed. */
export async function partialSync(
  cluster: BusyCluster,
  services: readonly KubeProxyService[],
  changed: readonly KubeProxyService[],
): Promise<void> {
  await restore(cluster, printSync(services, await savedNat(cluster), changed));
}

/** A node on which it has worked for a long time, with a large cluster. To save time it is written in smaller calls than its own. */
export async function largeNode(cluster: BusyCluster, services: readonly KubeProxyService[]): Promise<void> {
  for (const input of printServiceChains(services, 500)) await restore(cluster, input);
  await ensureJumps(cluster);
  await partialSync(cluster, services, []);
}

async function restore(cluster: BusyCluster, input: string): Promise<void> {
  await cluster.restore(input, '--noflush', '--counters');
}

async function savedNat(cluster: BusyCluster): Promise<string> {
  return (await cluster.lab.run('node', cluster.tool('-save'), ['-t', 'nat'])).stdout;
}

async function ensureChain(cluster: BusyCluster, table: string, chain: string): Promise<void> {
  await succeeds(cluster.iptables('-t', table, '-N', chain));
}

/** Exit code 1 is an answer. */
async function succeeds(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === 1) return false;
    throw error;
  }
}

const cleanedFilterChains = [
  'KUBE-SERVICES',
  'KUBE-EXTERNAL-SERVICES',
  'KUBE-FORWARD',
  'KUBE-NODEPORTS',
  'KUBE-PROXY-FIREWALL',
  'KUBE-PROXY-CANARY',
];
const cleanedNatChain =
  /^KUBE-(SERVICES|NODEPORTS|POSTROUTING|MARK-MASQ|PROXY-CANARY|SVC-.*|SVL-.*|EXT-.*|FW-.*|SEP-.*)$/;

/** `kube-proxy --cleanup` in iptables mode. Throws where kube-proxy would fail with exit code 1. */
export async function cleanUp(cluster: BusyCluster): Promise<void> {
  // The kubelet may need these.
  for (const { table, from, rule, to } of jumps)
    if (to !== 'KUBE-FIREWALL') await succeeds(cluster.iptables('-t', table, '-D', from, ...rule));
  const removal = (table: string, chains: readonly string[]): string =>
    [
      `*${table}`,
      ...chains.map((chain) => `:${chain} - [0:0]`),
      ...chains.map((chain) => `-X ${chain}`),
      'COMMIT',
      '',
    ].join('\n');
  const chainsOf = async (table: string): Promise<string[]> => {
    const { stdout } = await cluster.lab.run('node', cluster.tool('-save'), ['-t', table]);
    return [...stdout.matchAll(/^:(\S+)/gm)].map(([, chain]) => chain ?? '');
  };
  await restore(
    cluster,
    removal(
      'nat',
      (await chainsOf('nat')).filter((chain) => cleanedNatChain.test(chain)),
    ),
  );
  const ofFilter = await chainsOf('filter');
  await restore(
    cluster,
    removal(
      'filter',
      cleanedFilterChains.filter((chain) => ofFilter.includes(chain)),
    ),
  );
}
