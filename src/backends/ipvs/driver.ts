/** What IPVS mode needs of the kernel's settings. */
import { checkSysctl, readSysctl, SysctlError, writeSysctl } from '../../host/sysctl';
import { explainSysctl } from '../../host/sysctl-rights';
import { UserError } from '../../model/user-error';
import type { Logger } from '../../telemetry/log';
import { messageOf } from '../../model/error-message';

interface Sysctl {
  readonly path: string;
  readonly value: string;
  /** What happens without it. */
  readonly without: string;
  /** No Service works without it. */
  readonly isVital: boolean;
  /** A higher value is stricter, and stays. */
  readonly isFloor?: boolean;
}

const conntrack: Sysctl = {
  path: 'net/ipv4/vs/conntrack',
  value: '1',
  without: 'no connection that is masqueraded finds its way back',
  isVital: true,
};
const forwarding: Sysctl = {
  path: 'net/ipv4/ip_forward',
  value: '1',
  without: 'nothing passes between pods and the network',
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
/** From 5.9 on the kernel does the right thing by itself. */
const connReuse: Sysctl = {
  path: 'net/ipv4/vs/conn_reuse_mode',
  value: '0',
  without: 'connections from a client port that was used before are delayed by a second',
  isVital: false,
};

/** This machine's, or a test's. */
export interface NodeAccess {
  readonly readSysctl: (path: string) => Promise<string>;
  /** Only where it differs. Throws SysctlError. */
  readonly writeSysctl: (path: string, value: string) => Promise<boolean>;
}

export const thisNode: NodeAccess = { readSysctl, writeSysctl };

/**
 * Makes the node ready, once ip_vs is loaded. What no Service works without throws a UserError that says what to do; the rest is
 * warned of.
 */
export async function prepareNode(
  node: NodeAccess,
  settings: { readonly strictArp: boolean },
  log: Logger,
): Promise<void> {
  for (const sysctl of [...always, ...(await chooseConnReuse(node, log)), ...(settings.strictArp ? strictArp : [])])
    await ensure(node, sysctl, log);
}

/** What prepareNode could not write, once ip_vs is loaded. Writes nothing. */
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

export interface Unpreparable {
  /** No Service works without it. */
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
    // A failure that passes is no user's mistake: it is tried again.
    if (isVital) throw error instanceof SysctlError ? new UserError(`IPVS mode: ${message}`) : new Error(message);
    log.warn({ sysctl: path, value }, message);
  }
}

function adviceOn(error: unknown, name: string, value: string): string {
  if (error instanceof SysctlError && error.kind === 'missing') return 'this kernel is built without it';
  return `run \`sysctl -w ${name}=${value}\` on the node, or run privileged`;
}
