/** A source on a fake API server, with short times, and what it told. */
import type { CredentialOptions } from '../../../src/sources/kubernetes/credentials';
import { loadCredentials } from '../../../src/sources/kubernetes/credentials';
import { systemClock } from '../../../src/host/clock';
import type { ClusterChange, ClusterWarning } from '../../../src/model/cluster';
import { ClusterStore } from '../../../src/model/cluster-store';
import type { KubernetesTiming } from '../../../src/sources/kubernetes/source';
import { KubernetesSource } from '../../../src/sources/kubernetes/source';
import type { Logger } from '../../../src/telemetry/log';
import type { FakeApiServer } from '../../support/fake-api-server';
import type { FakeObject } from '../../support/fake-api-store';

const shortTiming: Partial<KubernetesTiming> = {
  initialEventsSilenceMs: 200,
  shortWatchMs: 0,
  listSilenceMs: 300,
  backoff: { initialMs: 10, maxMs: 40, resetMs: 10_000 },
  nodeWaitMs: 300,
  responseTimeoutMs: 300,
};

export interface LogLine {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export interface Watching {
  readonly source: KubernetesSource;
  readonly store: ClusterStore;
  readonly batches: ClusterChange[][];
  readonly warnings: ClusterWarning[];
  /** At info and above. */
  readonly log: LogLine[];
  /** `watchStarted services` and so on. */
  readonly observed: string[];
  isSynced(): boolean;
}

function credentialsFor(server: FakeApiServer, options: Partial<CredentialOptions> = {}): CredentialOptions {
  return {
    kubeconfig: '/kubeconfig',
    master: '',
    readFile: () => server.kubeconfig(),
    environment: {},
    clock: systemClock,
    ...options,
  };
}

export function watch(
  server: FakeApiServer,
  timing: Partial<KubernetesTiming> = {},
  credentials: Partial<CredentialOptions> = {},
  readsServiceCIDRs = false,
): Watching {
  const store = new ClusterStore(0);
  const batches: ClusterChange[][] = [];
  const warnings: ClusterWarning[] = [];
  const log: LogLine[] = [];
  const observed: string[] = [];
  let synced = 0;
  const note = (level: string) => (fields: object, message: string) =>
    void log.push({ level, fields: { ...fields }, message });
  const logger = {
    error: note('error'),
    warn: note('warn'),
    info: note('info'),
    debug: () => undefined,
    trace: () => undefined,
  };
  const source = new KubernetesSource({
    credentials: loadCredentials(credentialsFor(server, credentials)),
    nodeName: 'node-1',
    userAgent: 'vipwire/test',
    log: { ...logger, isLevelEnabled: () => true } as unknown as Logger,
    observer: {
      watchStarted: (resource) => observed.push(`watchStarted ${resource}`),
      watchEnded: (resource, reason) => observed.push(`watchEnded ${resource} ${reason}`),
      relisted: (resource, reason) => observed.push(`relisted ${resource} ${reason}`),
      watchStale: (resource, reason) => observed.push(`watchStale ${resource} ${reason}`),
      requestDone: ({ code, method, host }) => observed.push(`requestDone ${code} ${method} ${host}`),
    },
    timing: { ...shortTiming, ...timing },
  });
  source.readServiceCIDRs(readsServiceCIDRs);
  source.start({
    apply: (changes) => {
      batches.push([...changes]);
      store.apply(changes);
    },
    warn: (warning) => warnings.push(warning),
    synced: () => {
      synced++;
    },
  });
  return {
    source,
    store,
    batches,
    warnings,
    log,
    observed,
    isSynced: () => {
      if (synced > 1) throw new Error('synced twice');
      return synced === 1;
    },
  };
}

export function service(name: string, spec: Readonly<Record<string, unknown>> = {}): FakeObject {
  return {
    kind: 'Service',
    metadata: { name, namespace: 'shop', uid: `uid-${name}` },
    spec: { clusterIP: '10.96.0.1', clusterIPs: ['10.96.0.1'], ports: [{ port: 80, protocol: 'TCP' }], ...spec },
  };
}

export function slice(name: string, ...addresses: readonly string[]): FakeObject {
  return {
    kind: 'EndpointSlice',
    metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': 'cart' } },
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  };
}

export function endpoints(name: string, ...subsets: readonly (readonly string[])[]): FakeObject {
  return {
    kind: 'Endpoints',
    metadata: { name, namespace: 'shop' },
    subsets: subsets.map((addresses) => ({
      addresses: addresses.map((ip) => ({ ip })),
      ports: [{ port: 8080, protocol: 'TCP' }],
    })),
  };
}

export function serviceCIDR(name: string, ...cidrs: readonly string[]): FakeObject {
  return { kind: 'ServiceCIDR', metadata: { name }, spec: { cidrs } };
}

export const node: FakeObject = {
  kind: 'Node',
  metadata: { name: 'node-1' },
  status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] },
};
