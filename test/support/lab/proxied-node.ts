/** A service proxy on the lab's node: its configuration, its process, and when it has caught up. */
import type { ChildProcess } from 'node:child_process';
import { openSync, closeSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endProcess, type Lab } from './lab';

export type IptablesVariant = 'nft' | 'legacy';

/** The bundle under test, made by scripts/build.mjs. */
export const vipwire: readonly string[] = [process.execPath, join('dist', 'vipwire.cjs')];

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function mergeFields(base: Json, over: Json): Json {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isObject(below) && isObject(value) ? mergeFields(below, value) : value;
  }
  return merged;
}

const innerApiPort = 8001;
const periods = { minSyncPeriod: '100ms', syncPeriod: '30s' };

const kubeconfig = {
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'lab',
  contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'proxy' } }],
  clusters: [{ name: 'lab', cluster: { server: `http://127.0.0.1:${innerApiPort}` } }],
  users: [{ name: 'proxy', user: {} }],
};

/**
 * Makes the machine's 127.0.0.1:apiPort the node's API server and writes a KubeProxyConfiguration for it, with the
 * given fields instead of those of the lab. Returns the arguments that a proxy on the node takes.
 */
export async function configureProxy(lab: Lab, apiPort: number, fields: Json = {}): Promise<string[]> {
  writeFileSync(join(lab.directory, 'kubeconfig'), JSON.stringify(kubeconfig));
  const configFile = writeConfig(lab, fields);
  await lab.expose('node', innerApiPort, apiPort);
  return [`--config=${configFile}`, '--hostname-override=node'];
}

/** Writes the file by a rename, as editors do. Returns its path. */
export function writeConfig(lab: Lab, fields: Json): string {
  const kubeconfigFile = join(lab.directory, 'kubeconfig');
  const configFile = join(lab.directory, 'config.json');
  const config = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: {
      kubeconfig: kubeconfigFile,
      contentType: 'application/json',
      acceptContentTypes: 'application/json',
    },
    clusterCIDR: '10.244.0.0/16,fd44::/16',
    iptables: periods,
    ipvs: periods,
    nftables: periods,
    // nf_conntrack_max applies to the whole machine.
    conntrack: { maxPerCore: 0 },
  };
  writeFileSync(`${configFile}.new`, JSON.stringify(mergeFields(config, fields)));
  renameSync(`${configFile}.new`, configFile);
  return configFile;
}

/** The values of a metric, by the text of its labels. */
function metricValues(metrics: string, name: string): Map<string, number> {
  const lines = metrics.matchAll(new RegExp(`^${name}({[^}]*})? (\\S+)`, 'gm'));
  return new Map([...lines].map(([, labels, value]) => [labels ?? '', Number(value)]));
}

export interface ProxyOptions {
  readonly command: readonly string[];
  readonly variant?: IptablesVariant;
  /** Multiplies waiting times on a slow machine. */
  readonly slow?: number;
}

/** The process may be stopped and started again. Everything that it prints goes to one file. */
export class ProxiedNode {
  private child: ChildProcess | undefined;
  private readonly logFile: string;

  constructor(
    private readonly lab: Lab,
    private readonly options: ProxyOptions,
  ) {
    this.logFile = join(lab.directory, 'proxy.log');
  }

  start(): void {
    const [file = '', ...args] = this.options.command;
    const { variant } = this.options;
    const log = openSync(this.logFile, 'a');
    this.child = this.lab.spawn('node', file, args, {
      stdio: ['ignore', log, log],
      env: variant === undefined ? {} : { VIPWIRE_IPTABLES: variant },
    });
    closeSync(log);
  }

  /** Waits for its end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.child !== undefined) await endProcess(this.child, signal);
    this.child = undefined;
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  /** `exit 2`, or undefined while the proxy runs. */
  get ended(): string | undefined {
    const { exitCode, signalCode } = this.child ?? { exitCode: null, signalCode: null };
    return signalCode ?? (exitCode === null ? undefined : `exit ${exitCode}`);
  }

  /**
   * Waits until what the proxy learned since sinceMs (of the epoch) is in force and nothing more has come for quietMs, according to
   * kube-proxy's metrics of its syncs.
   */
  async caughtUp(sinceMs: number, quietMs = 200): Promise<void> {
    const slow = this.options.slow ?? 1;
    const deadline = Date.now() + 60_000 * slow;
    let before = '';
    let quietSince = Date.now();
    while (Date.now() < deadline) {
      if (this.ended !== undefined) throw new Error(`the proxy ended (${this.ended}):\n${this.log().slice(-2000)}`);
      const { body } = await this.lab.http('node', 'http://127.0.0.1:10249/metrics');
      const queued = metricValues(body, 'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds');
      const done = metricValues(body, 'kubeproxy_sync_proxy_rules_last_timestamp_seconds');
      const idle = done.size > 0 && [...queued].every(([labels, at]) => (done.get(labels) ?? 0) >= at);
      const concerned = [...queued.values()].some((at) => at * 1000 >= sinceMs);
      const now = JSON.stringify([[...queued], [...done]]);
      if (now !== before || !idle || !concerned) quietSince = Date.now();
      else if (Date.now() - quietSince >= quietMs * slow) return;
      before = now;
      await sleep(50);
    }
    throw new Error(`no sync within ${60 * slow} s:\n${this.log().slice(-2000)}`);
  }
}
