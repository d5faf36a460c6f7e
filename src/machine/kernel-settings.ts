/** Sets the node's kernel as kube-proxy sets it. */
import type { ConntrackConfiguration, ProxyConfiguration } from '../config/configuration';
import { runCommand } from '../host/command';
import { countCpus } from '../host/cpu-count';
import { loadModules } from '../host/kernel-modules';
import { checkSysctl, readSysctl, SysctlError, writeSysctl } from '../host/sysctl';
import { explainSysctl } from '../host/sysctl-rights';
import { messageOf } from '../model/error-message';
import { answersOnLocalhost } from '../planner/node-port-addresses';
import type { Logger } from '../telemetry/log';
/** For example net.netfilter.nf_conntrack_max=262144. */
export interface KernelSetting {
  /** As in host/sysctl. */
  readonly path: string;
  readonly value: number;
  /** A higher value is left as it is. */
  readonly isFloor: boolean;
  /** The field of the configuration that asks for it. */
  readonly field: string;
}

type SettingsSource = Pick<
  ProxyConfiguration,
  'conntrack' | 'oomScoreAdj' | 'localhostNodePorts' | 'nodePortAddresses' | 'detectLocalMode'
>;

/** What a mode does with NodePorts. */
export interface NodePortHabits {
  /** NodePorts answer on localhost where the configuration asks for it. */
  readonly answersOnLoopback: boolean;
}

const hashSize = '/sys/module/nf_conntrack/parameters/hashsize';
/** kube-proxy's limit since 1.36, for any number of CPUs. */
const mostTracked = 1_048_576;

function floor(path: string, value: number, field: string): KernelSetting {
  return { path, value, isFloor: true, field };
}

function exactly(path: string, value: number, field: string): KernelSetting {
  return { path, value, isFloor: false, field };
}

/** Who writes the settings. `init` leaves out those of its own process, which ends at once. */
type Setter = 'daemon' | 'init';

/** kube-proxy's values, except that sizes are never made smaller. `cpus` is the number of the machine's CPUs. */
export function planKernelSettings(
  source: SettingsSource,
  { answersOnLoopback }: NodePortHabits,
  cpus: number,
  setter: Setter = 'daemon',
): KernelSetting[] {
  const settings = planConntrack(source.conntrack, cpus);
  if (answersOnLoopback && answersOnLocalhost(source))
    settings.push(floor('net/ipv4/conf/all/route_localnet', 1, 'iptables.localhostNodePorts'));
  // Without it, packets between pods on one bridge bypass the rules.
  if (source.detectLocalMode === 'BridgeInterface')
    settings.push(floor('net/bridge/bridge-nf-call-iptables', 1, 'detectLocalMode'));
  if (setter === 'daemon') settings.push(exactly('/proc/self/oom_score_adj', source.oomScoreAdj, 'oomScoreAdj'));
  return settings;
}

function planConntrack(conntrack: ConntrackConfiguration, cpus: number): KernelSetting[] {
  const { maxPerCore, min, tcpBeLiberal } = conntrack;
  const settings: KernelSetting[] = [];
  if (maxPerCore > 0) {
    const scaled = maxPerCore * cpus;
    const max = scaled > mostTracked ? mostTracked : Math.max(scaled, min);
    const field = max === scaled || max === mostTracked ? 'conntrack.maxPerCore' : 'conntrack.min';
    settings.push(floor('net/netfilter/nf_conntrack_max', max, field));
    // At most four connections per bucket.
    settings.push(floor(hashSize, Math.trunc(max / 4), field));
  }
  const timeout = (sysctl: string, seconds: number, field: string): void => {
    if (seconds > 0) settings.push(exactly(`net/netfilter/${sysctl}`, seconds, field));
  };
  timeout(
    'nf_conntrack_tcp_timeout_established',
    conntrack.tcpEstablishedTimeoutSeconds,
    'conntrack.tcpEstablishedTimeout',
  );
  timeout('nf_conntrack_tcp_timeout_close_wait', conntrack.tcpCloseWaitTimeoutSeconds, 'conntrack.tcpCloseWaitTimeout');
  timeout('nf_conntrack_udp_timeout', conntrack.udpTimeoutSeconds, 'conntrack.udpTimeout');
  timeout('nf_conntrack_udp_timeout_stream', conntrack.udpStreamTimeoutSeconds, 'conntrack.udpStreamTimeout');
  if (tcpBeLiberal) settings.push(floor('net/netfilter/nf_conntrack_tcp_be_liberal', 1, 'conntrack.tcpBeLiberal'));
  return settings;
}

interface Unmet {
  readonly setting: KernelSetting;
  readonly why: string;
}

/** Writes what differs. One log line names all that cannot be written, and the daemon goes on; kube-proxy would exit. */
export async function setUpKernel(
  source: SettingsSource,
  mode: NodePortHabits,
  log: Logger,
  setter: Setter = 'daemon',
): Promise<void> {
  const settings = planKernelSettings(source, mode, countCpus(), setter);
  if (await isConntrackMissing(settings)) await loadModules(runCommand, ['nf_conntrack']);
  const written: KernelSetting[] = [];
  const unmet: Unmet[] = [];
  for (const setting of settings) {
    try {
      if (await writeIfDifferent(setting)) written.push(setting);
    } catch (error) {
      unmet.push({ setting, why: await explain(setting, error) });
    }
  }
  if (written.length > 0) log.info({ settings: written.map(print).join(', ') }, 'kernel settings written');
  if (unmet.length === 0) return;
  const what = unmet.map(({ setting, why }) => `${print(setting)} (${setting.field}; ${why})`).join(', ');
  // The kubelet already sets oom_score_adj: -997 for a critical Pod.
  const level = unmet.every(({ setting }) => setting.field === 'oomScoreAdj') ? 'info' : 'warn';
  log[level]({ settings: what }, 'kernel settings that could not be written; --init-only, run privileged, writes them');
}

/** The settings that differ and cannot be written, each with the error and the right that is missing. Writes nothing. */
export async function findUnwritable(source: SettingsSource, mode: NodePortHabits): Promise<string[]> {
  const found: string[] = [];
  for (const setting of planKernelSettings(source, mode, countCpus(), 'init')) {
    const now = await readSysctl(setting.path).catch(() => undefined);
    const isMet = now !== undefined && (setting.isFloor ? Number(now) >= setting.value : now === String(setting.value));
    const problem = isMet ? undefined : await findProblem(setting);
    if (problem === undefined) continue;
    const why = await explainSysctl(problem);
    found.push(`${print(setting)} (${now === undefined ? why : `now ${now}; ${why}`})`);
  }
  return found;
}

/**
 * Outside the first network namespace hashsize can be opened for writing, but not written. nf_conntrack_buckets is the same setting
 * and already fails when it is opened.
 */
async function findProblem({ path }: KernelSetting): Promise<SysctlError | undefined> {
  const problem = await checkSysctl(path);
  if (problem !== undefined || path !== hashSize) return problem;
  return checkSysctl('net/netfilter/nf_conntrack_buckets');
}

async function isConntrackMissing(settings: readonly KernelSetting[]): Promise<boolean> {
  const [first] = settings.filter(({ field }) => field.startsWith('conntrack.'));
  if (first === undefined) return false;
  return readSysctl(first.path).then(
    () => false,
    (error: unknown) => error instanceof SysctlError && error.kind === 'missing',
  );
}

/** Writes the setting where it differs. Returns whether it did. Throws SysctlError. */
async function writeIfDifferent({ path, value, isFloor }: KernelSetting): Promise<boolean> {
  if (isFloor && Number(await readSysctl(path)) >= value) return false;
  return writeSysctl(path, String(value));
}

async function explain({ path }: KernelSetting, error: unknown): Promise<string> {
  const why = error instanceof SysctlError ? await explainSysctl(error) : messageOf(error);
  return readSysctl(path).then(
    (now) => `now ${now}; ${why}`,
    () => why,
  );
}

/** `net.netfilter.nf_conntrack_max=262144`, `hashsize=65536`. */
function print({ path, value }: KernelSetting): string {
  const name = path.startsWith('/') ? path.slice(path.lastIndexOf('/') + 1) : path.replaceAll('/', '.');
  return `${name}=${value}`;
}
