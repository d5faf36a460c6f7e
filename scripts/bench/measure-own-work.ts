/** What the proxy itself computes when one endpoint changes, in this process: planning, rendering, diffing, printing. */
import { IptablesBackend } from '../../src/backends/iptables/backend';
import type { ClusterChange } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import { planNodeSettings } from '../../src/planner/node-settings';
import { applyPlanChanges, planChanges } from '../../src/planner/plan-changes';
import { planCluster } from '../../src/planner/plan-cluster';
import { endpointSlices, nodeNamed, services } from '../../src/sources/kubernetes/resources';
import { noRules } from '../../src/xtables/parse-save';
import type { FakeObject } from '../../test/support/fake-api-store';
import { clusterCIDR } from './addresses';
import { type ClusterSpec, endpointsOf, makeCluster, makeSlice, serviceName } from './cluster-objects';
import { type Figure, median, percentile, printMs } from './figure';

const changes = 1000;
const target = { ms: 3, bytes: 4096 };

function decode(object: FakeObject): readonly ClusterChange[] {
  const resources = { Service: services, EndpointSlice: endpointSlices, Node: nodeNamed('node') };
  // As it comes out of a parser: strings of its own.
  const text = JSON.parse(JSON.stringify(object)) as unknown;
  return resources[object.kind as keyof typeof resources].decode(text, () => undefined) ?? [];
}

export function measureOwnWork(spec: ClusterSpec): Figure[] {
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
  const backend = new IptablesBackend(
    'IPv4',
    { masqueradeMark: 0x4000, dropInvalid: true, hasBpf: true, hasRecent: true, hasSctp: true, hasNfacct: false },
    {
      variant: 'nft',
      save: () => Promise.resolve(noRules()),
      restore: () => Promise.resolve(),
      canariesStand: () => Promise.resolve(true),
    },
  );
  const plan = planCluster(store, 'IPv4', settings);
  backend.render(plan);
  const first = backend.diff();
  if (first !== undefined) backend.assumeApplied(first);

  const times: number[] = [];
  let bytes = 0;
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
    times.push(performance.now() - startedMs);
    if (batch === undefined) throw new Error('a change of an endpoint changed no rule');
    backend.assumeApplied(batch);
    bytes = Math.max(bytes, Buffer.byteLength(text));
  }
  const size = `${spec.services} x ${spec.endpoints}`;
  return [
    {
      what: `planning, rendering, diffing one endpoint, ${size}`,
      toReach: `<= ${target.ms} ms`,
      here: `${printMs(median(times))} (p99 ${printMs(percentile(times, 0.99))})`,
      beside: '',
      ok: median(times) <= target.ms,
      raw: [median(times), percentile(times, 0.99), Math.max(...times)],
    },
    {
      what: `bytes to iptables-restore for it`,
      toReach: `<= ${target.bytes / 1024} KiB`,
      here: `${bytes} B`,
      beside: '',
      ok: bytes <= target.bytes,
      raw: [bytes],
    },
  ];
}
