/** The kernel settings that IPVS mode needs. */
import { checkSysctl, readSysctl, SysctlError, writeSysctl } from '../../host/sysctl';
import { explainSysctl } from '../../host/sysctl-rights';
import { messageOf } from '../../model/error-message';
import { UserError } from '../../model/user-error';
import type { Logger } from '../../telemetry/log';

interface Sysctl {
  readonly path: string;
  readonly value: string;
  /** What happens without this value. */
  readonly without: string;
  /** True when no Service works without this value. */
  readonly isVital: boolean;
  /** A higher value is stricter and is left as it is. */
  readonly isFloor?: boolean;
}

const conntrack: Sysctl = {
  path: 'net/ipv4/vs/conntrack',
  value: '1',
  without: 'the replies of masqueraded connections do not come back to the client',
  isVital: true,
};
const forwarding: Sysctl = {
  path: 'net/ipv4/ip_forward',
  value: '1',
  without: 'no packets pass between pods and the network',
  isVital: true,
};
const always: readonly Sysctl[] = [
  conntrack,
  forwarding,
  {
    path: 'net/ipv4/vs/expire_nodest_conn',
    value: '1',
    without: 'connections to an endpoint that is gone hang until they time out',
    isVital: false,
  },
  {
    path: 'net/ipv4/vs/expire_quiescent_template',
    value: '1',
    without: 'clients with session affinity stay with an endpoint that is being drained',
    isVital: false,
  },
];
const strictArp: readonly Sysctl[] = [
  {
    path: 'net/ipv4/conf/all/arp_ignore',
    value: '1',
    without: 'every node answers ARP requests for load-balancer IPs (ipvs.strictARP)',
    isVital: false,
    isFloor: true,
  },
  {
    path: 'net/ipv4/conf/all/arp_announce',
    value: '2',
    without: 'ARP requests are sent from load-balancer IPs (ipvs.strictARP)',
    isVital: false,
  },
];
/** Kernels before 5.9 need this. Later ones do the right thing by themselves. */
const connReuse: Sysctl = {
  path: 'net/ipv4/vs/conn_reuse_mode',
  value: '0',
  without: 'connections from a client port that was used before are delayed by a second',
  isVital: false,
};

/** The settings of this machine, or those of a test. */
export interface NodeAccess {
  readonly readSysctl: (path: string) => Promise<string>;
  /** Writes the value when it differs, and returns whether it did. Throws SysctlError. */
  readonly writeSysctl: (path: string, value: string) => Promise<boolean>;
}

export const thisNode: NodeAccess = { readSysctl, writeSysctl };

/**
 * Writes the settings of the node. ip_vs must be loaded. When a vital one cannot be written, it throws a UserError that says what to
 * do; for the others it warns.
 */
export async function prepareNode(
  node: NodeAccess,
  settings: { readonly strictArp: boolean },
  log: Logger,
): Promise<void> {
  for (const sysctl of [...always, ...(await chooseConnReuse(node, log)), ...(settings.strictArp ? strictArp : [])])
    await ensure(node, sysctl, log);
}

/** Returns the settings that prepareNode could not write. ip_vs must be loaded. Writes nothing. */
export async function findUnpreparable(settings: { readonly strictArp: boolean }): Promise<readonly Unpreparable[]> {
  const found: Unpreparable[] = [];
  for (const { path, value, isVital, isFloor = false, without } of [
    ...always,
    ...(settings.strictArp ? strictArp : []),
  ]) {
    const now = await readSysctl(path).catch(() => undefined);
    const isMet = now === value || (isFloor && now !== undefined && Number(now) > Number(value));
    const problem = isMet ? undefined : await checkSysctl(path);
    if (problem === undefined) continue;
    const name = path.replaceAll('/', '.');
    found.push({
      isVital,
      what: `${name} cannot be set (${await explainSysctl(problem)}): ${without}`,
      advice: adviceOn(problem, name, value),
    });
  }
  return found;
}

/** A setting that cannot be written. */
export interface Unpreparable {
  /** True when no Service works without it. */
  readonly isVital: boolean;
  readonly what: string;
  readonly advice: string;
}

async function chooseConnReuse({ readSysctl }: NodeAccess, log: Logger): Promise<Sysctl[]> {
  const release = await readSysctl('kernel/osrelease');
  const [major = 0, minor = 0] = release.split('.', 2).map((part) => Number.parseInt(part, 10));
  const number = major * 1000 + minor;
  if (number >= 5009) return [];
  if (number >= 4001) return [connReuse];
  log.warn({ kernel: release }, `kernels before 4.1 have no ${connReuse.path}: ${connReuse.without}`);
  return [];
}

async function ensure(
  { readSysctl, writeSysctl }: NodeAccess,
  { path, value, without, isVital, isFloor = false }: Sysctl,
  log: Logger,
): Promise<void> {
  try {
    if (isFloor && Number(await readSysctl(path)) > Number(value)) return;
    if (await writeSysctl(path, value)) log.info({ sysctl: path, value }, 'sysctl written');
  } catch (error) {
    const why = error instanceof SysctlError ? await explainSysctl(error) : messageOf(error);
    const name = path.replaceAll('/', '.');
    const message = `${name} cannot be set (${why}): ${without}; ${adviceOn(error, name, value)}`;
    // Other failures may be temporary. They are not the user's mistake, and are tried again.
    if (isVital) throw error instanceof SysctlError ? new UserError(`IPVS mode: ${message}`) : new Error(message);
    log.warn({ sysctl: path, value }, message);
  }
}

function adviceOn(error: unknown, name: string, value: string): string {
  if (error instanceof SysctlError && error.kind === 'missing') return 'this kernel is built without it';
  return `run \`sysctl -w ${name}=${value}\` on the node, or run privileged`;
}
