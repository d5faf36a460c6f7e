/** Times what the proxy itself computes when one endpoint changes, in this process: planning, rendering, diffing, printing. */
import { found } from '../../src/model/answer';
import type { Backend } from '../../src/backends/backend';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { IpvsBackend } from '../../src/backends/ipvs/backend';
import type { IpvsBatch } from '../../src/backends/ipvs/diff';
import type { ClusterChange } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import { parseScheduler } from '../../src/model/scheduler';
import { planNodeSettings } from '../../src/planner/node-settings';
import { applyPlanChanges, planChanges } from '../../src/planner/plan-changes';
import { planCluster } from '../../src/planner/plan-cluster';
import { endpointSlices, nodeNamed, services } from '../../src/sources/kubernetes/resources';
import { noRules } from '../../src/xtables/parse-save';
import type { KernelTables } from '../../src/xtables/kernel-tables';
import type { FakeObject } from '../../test/support/fake-api-store';
import { clusterCIDR } from './addresses';
import { type ClusterSpec, endpointsOf, makeCluster, makeSlice, serviceName } from './cluster-objects';
import { type Figure, median, percentile, printMs } from './figure';

const changes = 1000;
const targets = { ms: { iptables: 3, ipvs: 5 }, bytes: 4096, messages: 3 };

function decode(object: FakeObject): readonly ClusterChange[] {
  const resource = [services, endpointSlices, nodeNamed('node')].find(({ kind }) => kind === object.kind);
  // A parsed copy has strings of its own, as objects from an API server have.
  const parsed: unknown = JSON.parse(JSON.stringify(object));
  return resource?.decode(parsed, () => undefined) ?? [];
}

interface OwnWork {
  readonly timesMs: readonly number[];
  /** The most bytes that one change wrote. */
  readonly bytes: number;
  readonly writes: number;
}

function workOf<Batch>(spec: ClusterSpec, backend: Backend<Batch>, countWrites: (batch: Batch) => number): OwnWork {
  const store = new ClusterStore(Date.now());
  for (const object of makeCluster(spec)) store.apply(decode(object));
  store.takeChanged();
  const config = {
    hostname: 'node',
    detectLocalMode: 'ClusterCIDR',
    clusterCIDRs: [clusterCIDR],
    bridgeInterface: '',
    interfaceNamePrefix: '',
    nodePortAddresses: [],
    masqueradeAll: false,
    localhostNodePorts: true,
    allowServiceExternalIPs: false,
    bindAddress: '',
  } as const;
  const { settings } = planNodeSettings(config, store.nodes.get('node'), []);
  const plan = planCluster(store, 'IPv4', settings);
  backend.render(plan);
  const first = backend.diff();
  if (first !== undefined) backend.assumeApplied(first);

  const timesMs: number[] = [];
  let bytes = 0;
  let writes = 0;
  for (let turn = 1; turn <= changes; turn++) {
    const service = (turn * 7919) % spec.services;
    store.apply(decode(makeSlice(serviceName(service), endpointsOf(spec, service, turn))));
    const changed = store.takeChanged().services;
    const startedMs = performance.now();
    const planned = planChanges(plan, store, changed);
    applyPlanChanges(plan, planned);
    backend.renderChanges(plan, planned);
    const batch = backend.diff();
    const text = batch === undefined ? '' : backend.print(batch);
    timesMs.push(performance.now() - startedMs);
    if (batch === undefined) throw new Error('a change of an endpoint changed nothing');
    backend.assumeApplied(batch);
    bytes = Math.max(bytes, Buffer.byteLength(text));
    writes = Math.max(writes, countWrites(batch));
  }
  return { timesMs, bytes, writes };
}

const unreadTables: KernelTables = {
  variant: 'nft',
  save: () => Promise.resolve(noRules()),
  restore: () => Promise.resolve(),
  canariesStand: () => Promise.resolve(found(true)),
};

function ipvsBackend(): IpvsBackend {
  const scheduler = parseScheduler('rr');
  if (scheduler === undefined) throw new Error('the scheduler rr is not known');
  const none = (): Promise<void> => Promise.resolve();
  return new IpvsBackend(
    'IPv4',
    {
      settings: { masqueradeMark: 0x4000, scheduler, hasScheduler: () => true, hasSetMarks: true },
      excludeCIDRs: [],
      drainLimitMs: Number.POSITIVE_INFINITY,
      now: () => performance.now(),
    },
    {
      tables: unreadTables,
      readServers: () => Promise.resolve({ servers: new Map(), resting: [] }),
      writeServers: none,
      readDestinations: () => Promise.resolve([]),
      readSets: () => Promise.resolve({ sets: new Map(), elements: new Map() }),
      restoreSets: none,
      readAddresses: () => Promise.resolve([]),
      bind: none,
      unbind: none,
    },
  );
}

/** Counts the netlink messages for virtual servers. A change should write nothing else, so anything else counts as infinite. */
function countMessages(batch: IpvsBatch): number {
  return batch.reduce((count, stage) => count + (stage.kind === 'servers' ? stage.writes.length : Infinity), 0);
}

function iptablesBackend(): IptablesBackend {
  const settings = {
    masqueradeMark: 0x4000,
    dropInvalid: true,
    hasBpf: true,
    hasRecent: true,
    hasSctp: true,
    hasNfacct: false,
  };
  return new IptablesBackend('IPv4', settings, unreadTables);
}

/** Backends that write nothing. */
export const backends = {
  iptables: (): Backend<unknown> => iptablesBackend(),
  ipvs: (): Backend<unknown> => ipvsBackend(),
};

export function measureOwnWork(spec: ClusterSpec): Figure[] {
  const rules = workOf(spec, iptablesBackend(), () => 0);
  const servers = workOf(spec, ipvsBackend(), countMessages);
  const size = `${spec.services} x ${spec.endpoints}`;
  const times = (mode: string, { timesMs }: OwnWork, toReachMs: number): Figure => ({
    what: `planning, rendering and diffing one changed endpoint, ${size}, ${mode}`,
    toReach: `<= ${toReachMs} ms`,
    here: `${printMs(median(timesMs))} (p99 ${printMs(percentile(timesMs, 0.99))})`,
    beside: '',
    ok: median(timesMs) <= toReachMs,
    raw: [median(timesMs), percentile(timesMs, 0.99), Math.max(...timesMs)],
  });
  return [
    times('iptables', rules, targets.ms.iptables),
    {
      what: '  bytes to iptables-restore for that change',
      toReach: `<= ${targets.bytes / 1024} KiB`,
      here: `${rules.bytes} B`,
      beside: '',
      ok: rules.bytes <= targets.bytes,
      raw: [rules.bytes],
    },
    times('ipvs', servers, targets.ms.ipvs),
    {
      what: '  netlink messages for that change',
      toReach: `<= ${targets.messages}`,
      here: String(servers.writes),
      beside: '',
      ok: servers.writes <= targets.messages,
      raw: [servers.writes],
    },
  ];
}
