/** Starts and controls the API server of a bench, which runs in the network namespace of the node that uses it. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ApiReply, ApiRequest } from './api-requests';
import { clusterCIDR } from './addresses';
import type { ClusterSpec } from './cluster-objects';
import { end, type NodeNumber, type Site } from './site';

export type Mode = 'iptables' | 'ipvs' | 'nftables';

export class ApiProcess {
  readonly #child: ChildProcess;

  private constructor(
    child: ChildProcess,
    /** The configuration file for the proxy that uses this server. */
    readonly configFile: string,
  ) {
    this.#child = child;
  }

  /** Starts a server. Resolves when it holds the cluster. */
  static async start(site: Site, bundle: string, spec: ClusterSpec, mode: Mode = 'iptables'): Promise<ApiProcess> {
    const child = site.spawn(
      `node${spec.network}`,
      [process.execPath, bundle],
      ['ignore', 'inherit', 'inherit', 'ipc'],
    );
    await once(child, 'message');
    const configFile = join(site.directory, `config-${spec.network}.json`);
    const api = new ApiProcess(child, configFile);
    const { port } = await api.ask({ kind: 'fill', spec });
    const kubeconfig = join(site.directory, `kubeconfig-${spec.network}`);
    writeFileSync(kubeconfig, printKubeconfig(port));
    writeFileSync(configFile, printConfig(kubeconfig, mode));
    return api;
  }

  async ask(request: ApiRequest): Promise<ApiReply> {
    this.#child.send(request);
    // once() gives any[]; scripts/bench/api-server.ts answers each request with an ApiReply.
    const [reply] = (await once(this.#child, 'message')) as [ApiReply];
    return reply;
  }

  stop(): Promise<void> {
    return end(this.#child, 'SIGKILL');
  }
}

export const nodePlace = (network: NodeNumber): `node${NodeNumber}` => `node${network}`;

function printKubeconfig(port: number): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'bench', cluster: { server: `http://127.0.0.1:${port}` } }],
    users: [{ name: 'bench', user: {} }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    'current-context': 'bench',
  });
}

function printConfig(kubeconfig: string, mode: Mode): string {
  return JSON.stringify({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode,
    clusterCIDR,
    clientConnection: { kubeconfig },
    // 0 leaves nf_conntrack_max alone, because it belongs to the whole machine.
    conntrack: { maxPerCore: 0 },
    // A burst is measured without the wait that the usual pace puts between two writes.
    nftables: { minSyncPeriod: '10ms' },
  });
}
