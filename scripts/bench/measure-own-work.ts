/** Times what the proxy itself computes when one endpoint changes, in this process: planning, rendering, diffing, and printing or encoding. */
import { found } from '../../src/model/answer';
import type { Backend } from '../../src/backends/backend';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { IpvsBackend } from '../../src/backends/ipvs/backend';
import type { IpvsBatch } from '../../src/backends/ipvs/diff';
import { NftablesBackend } from '../../src/backends/nftables/backend';
import { TableMessages } from '../../src/backends/nftables/driver-messages';
import { encodeWrites } from '../../src/backends/nftables/driver-write';
import type { NftKernel } from '../../src/backends/nftables/objects';
import type { Step } from '../../src/backends/nftables/steps';
import { headerBytes } from '../../src/host/netlink';
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
const targets = { ms: { iptables: 3, ipvs: 5, nftables: 0.3 }, bytes: { iptables: 4096, nftables: 1024 }, messages: 3 };

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

/** What is sent to the kernel, or to a tool, for a change. */
interface Sent {
  readonly bytes: number;
  readonly writes: number;
}

function workOf<Batch>(spec: ClusterSpec, backend: Backend<Batch>, send: (batch: Batch) => Sent): OwnWork {
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
    if (batch === undefined) throw new Error('a change of an endpoint changed nothing');
    const sent = send(batch);
    timesMs.push(performance.now() - startedMs);
    backend.assumeApplied(batch);
    bytes = Math.max(bytes, sent.bytes);
    writes = Math.max(writes, sent.writes);
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

const unreadTable: NftKernel = {
  canRead: true,
  read: () => Promise.resolve(undefined),
  readObjects: () => Promise.resolve(undefined),
  write: () => Promise.resolve(),
  close: () => undefined,
};

function nftablesBackend(): NftablesBackend {
  return new NftablesBackend('IPv4', { masqueradeMark: 0x4000 }, unreadTable);
}

const messages = new TableMessages('IPv4');
/** Of the two messages around a transaction. */
const aroundBytes = 2 * (headerBytes + 4);

function encodeSteps(steps: readonly Step[]): Sent {
  let bytes = 0;
  for (const { writes } of steps) {
    const payloads = encodeWrites(messages, writes).messages.map(({ payload }) => headerBytes + payload.length);
    bytes += payloads.reduce((all, more) => all + more, aroundBytes);
  }
  return { bytes, writes: steps.length };
}

/** Backends that write nothing. */
export const backends = {
  iptables: (): Backend<unknown> => iptablesBackend(),
  ipvs: (): Backend<unknown> => ipvsBackend(),
  nftables: (): Backend<unknown> => nftablesBackend(),
};

export function measureOwnWork(spec: ClusterSpec): Figure[] {
  const [iptables, ipvs] = [iptablesBackend(), ipvsBackend()];
  const rules = workOf(spec, iptables, (batch) => ({ bytes: Buffer.byteLength(iptables.print(batch)), writes: 0 }));
  const servers = workOf(spec, ipvs, (batch) => ({
    bytes: Buffer.byteLength(ipvs.print(batch)),
    writes: countMessages(batch),
  }));
  const elements = workOf(spec, nftablesBackend(), encodeSteps);
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
      toReach: `<= ${targets.bytes.iptables / 1024} KiB`,
      here: `${rules.bytes} B`,
      beside: '',
      ok: rules.bytes <= targets.bytes.iptables,
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
    times('nftables', elements, targets.ms.nftables),
    {
      what: '  bytes to the kernel for that change',
      toReach: `<= ${targets.bytes.nftables / 1024} KiB`,
      here: `${elements.bytes} B`,
      beside: '',
      ok: elements.bytes <= targets.bytes.nftables,
      raw: [elements.bytes],
    },
  ];
}
