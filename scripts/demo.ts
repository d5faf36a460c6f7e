/**
 * Shows vipwire at work on this machine: it runs on a node made of network namespaces, with the manifests given (by default
 * manifests/examples), and real connections are opened to every VIP. Exits with 0 when all of them did as planned.
 * Usage: demo.ts [PATH...]
 */
import { spawnSync } from 'node:child_process';
import { families } from '../src/model/address';
import { type Service, serviceKey } from '../src/model/cluster';
import { ClusterStore } from '../src/model/cluster-store';
import { messageOf } from '../src/model/error-message';
import { planNodeSettings } from '../src/planner/node-settings';
import { planCluster } from '../src/planner/plan-cluster';
import { ManifestSource } from '../src/sources/manifests/manifest-source';
import { Lab } from '../test/support/lab/lab';
import { ProxiedNode, vipwire } from '../test/support/lab/proxied-node';
import { asPlanned, type AskedRow, planRows, printCells, type Row, sources } from './demo/rows';
import { type Group, printTable } from './demo/table';

const clusterCIDRs = ['10.244.0.0/16', 'fd44::/16'];
const connections = 100;

const nodeConfig = {
  hostname: 'node',
  detectLocalMode: 'ClusterCIDR',
  clusterCIDRs,
  bridgeInterface: '',
  interfaceNamePrefix: '',
  nodePortAddresses: [],
  masqueradeAll: false,
  localhostNodePorts: true,
  allowServiceExternalIPs: true,
  bindAddress: '',
} as const;

/** Returns the Services, sorted by namespace and name, and for each of them the connections to open. */
async function readRows(paths: readonly string[]): Promise<{ service: Service; rows: Row[] }[]> {
  const store = new ClusterStore(Date.now());
  const source = await ManifestSource.open({ paths, watch: false });
  source.start({ apply: (changes) => store.apply(changes), warn: () => undefined, synced: () => undefined });
  const { settings } = planNodeSettings(nodeConfig, store.nodes.get('node'), []);
  const plans = families.map((family) => planCluster(store, family, settings));
  const services = [...store.services.values()].sort((a, b) => (fullName(a) < fullName(b) ? -1 : 1));
  return services.map((service) => {
    const key = serviceKey(service.namespace, service.name);
    return { service, rows: plans.flatMap((plan) => planRows(plan, plan.services.get(key)?.ports ?? [])) };
  });
}

const fullName = ({ namespace, name }: Service): string => `${namespace}/${name}`;

function printHeading(service: Service): string {
  const traits = [
    service.internalTrafficPolicy === 'Local' ? 'internalTrafficPolicy Local' : '',
    service.externalTrafficPolicy === 'Local' ? 'externalTrafficPolicy Local' : '',
    service.affinitySeconds > 0 ? `sessionAffinity ClientIP, ${service.affinitySeconds} s` : '',
    service.sourceRanges.length > 0 ? `source ranges ${service.sourceRanges.join(', ')}` : '',
  ].filter((trait) => trait !== '');
  return [fullName(service), ...traits].join('  ·  ');
}

function printGroup(service: Service, rows: readonly AskedRow[]): Group {
  return {
    heading: printHeading(service),
    ...(service.notProxied === undefined ? {} : { note: `not proxied: ${service.notProxied}` }),
    rows: rows.map((row) => ({
      cells: printCells(row),
      ...(asPlanned(row) ? {} : { mark: `NOT AS PLANNED: ${row.planned.outcome} ${row.planned.backends.join(' ')}` }),
    })),
  };
}

/** Opens the connections of all rows. All sources work at the same time, each on one VIP after the other. */
async function askAll(lab: Lab, rows: readonly Row[]): Promise<Map<Row, AskedRow>> {
  const asked = new Map<Row, AskedRow>();
  const askFrom = async (from: Row['from']): Promise<void> => {
    for (const row of rows.filter((row) => row.from === from)) {
      const answers = await lab.probe(from, {
        to: row.address,
        port: row.port,
        protocol: row.protocol === 'UDP' ? 'udp' : 'tcp',
        count: row.planned.outcome === 'ok' ? connections : 2,
        parallel: 2,
      });
      asked.set(row, { ...row, answers });
    }
  };
  await Promise.all(sources.map(askFrom));
  return asked;
}

async function demonstrate(lab: Lab, paths: readonly string[]): Promise<number> {
  const services = await readRows(paths);
  // Node.js cannot open SCTP connections.
  const rows = services.flatMap((service) => service.rows).filter(({ protocol }) => protocol !== 'SCTP');
  process.stderr.write('making a node, pods and a client in network namespaces\n');
  await lab.start();
  const flags = ['--hostname-override=node', `--cluster-cidr=${clusterCIDRs.join(',')}`, '--conntrack-max-per-core=0'];
  const proxy = new ProxiedNode(lab, {
    command: [...vipwire, 'run', ...flags, '--manifests', ...paths],
  });
  process.stderr.write(`starting vipwire run --manifests ${paths.join(' ')}\n`);
  const sinceMs = Date.now();
  proxy.start();
  await proxy.caughtUp(sinceMs);
  process.stderr.write(`in force after ${Date.now() - sinceMs} ms; connecting to every VIP\n\n`);
  const asked = await askAll(lab, rows);
  await proxy.stop();
  const groups = services.map(({ service, rows }) =>
    printGroup(
      service,
      rows.flatMap((row) => asked.get(row) ?? []),
    ),
  );
  const titles = ['KIND', 'VIP', 'FROM', 'OUTCOME', 'PODS REACHED', 'SOURCE SEEN'];
  const wrong = [...asked.values()].filter((row) => !asPlanned(row)).length;
  const vips = rows.length / sources.length;
  const verdict = wrong === 0 ? 'all as planned' : `${wrong} of ${rows.length} not as planned`;
  const where = 'Pods a b c are on the node, d e on another, and ext is the client outside.';
  process.stdout.write(
    `${printTable(titles, groups, 2)}\n\n${where}\n${vips} VIPs, each from pod c, the node and outside: ${verdict}.\n`,
  );
  return wrong === 0 ? 0 : 1;
}

function renderInstead(paths: readonly string[]): number {
  const args = ['render', ...paths.flatMap((path) => ['-f', path]), '--node', 'node'];
  process.stderr.write(
    `Not root: only root may make the network namespaces of the demo. This is what vipwire would write on a node instead:\n` +
      `  vipwire ${args.join(' ')}\n\n`,
  );
  const [node = '', script = ''] = vipwire;
  return spawnSync(node, [script, ...args], { stdio: 'inherit' }).status ?? 1;
}

async function main(args: readonly string[]): Promise<number> {
  const paths = args.length > 0 ? args : ['manifests/examples'];
  if (process.getuid?.() !== 0) return renderInstead(paths);
  const lab = new Lab();
  let interrupted = 0;
  const interrupt = (code: number) => () => {
    interrupted = code;
    void lab.stop();
  };
  process.on('SIGINT', interrupt(130)).on('SIGTERM', interrupt(143)).on('SIGHUP', interrupt(129));
  try {
    return await demonstrate(lab, paths);
  } catch (error) {
    // When a signal stops the lab, what was under way fails, and that is not reported.
    if (interrupted === 0) process.stderr.write(`${messageOf(error)}\n`);
    return interrupted === 0 ? 1 : interrupted;
  } finally {
    await lab.stop();
  }
}

void main(process.argv.slice(2)).then((code) => (process.exitCode = code));
