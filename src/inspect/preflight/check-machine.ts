/** Checks the rights, tools and settings of this machine. */
import type { ProxyConfiguration } from '../../config/configuration';
import { CommandError, runCommand } from '../../host/command';
import { readBridges } from '../../host/interfaces';
import { NetlinkUnavailableError } from '../../host/netlink';
import { NfGeneration } from '../../host/nf-generation';
import { askCapabilities, capabilities } from '../../host/processes';
import { askSysctl, checkSysctl } from '../../host/sysctl';
import { cannotTell, fail, type Finding, ok, warn } from '../../machine/finding';
import { findUnwritable } from '../../machine/kernel-settings';
import type { Family } from '../../model/address';
import { type Answer, found } from '../../model/answer';
import { messageOf } from '../../model/error-message';
import type { Mode } from '../../modes/mode';
import { modes } from '../../modes/modes';

const askTimeoutMs = 30_000;

/** absent: the kernel does not have the setting. */
async function numberAt(sysctl: string): Promise<Answer<number>> {
  const text = await askSysctl(sysctl);
  return text.kind === 'found' ? found(Number(text.value)) : text;
}

export async function checkRights(): Promise<Finding> {
  const has = await askCapabilities();
  if (has.kind !== 'found') return cannotTell('capabilities', has.kind === 'unknown' ? has.reason : '', '');
  const missing = Object.entries({ NET_ADMIN: capabilities.netAdmin, NET_RAW: capabilities.netRaw })
    .filter(([, bit]) => (has.value & (1n << BigInt(bit))) === 0n)
    .map(([name]) => name);
  if (missing.length === 0) return ok('capabilities', 'NET_ADMIN, NET_RAW');
  return fail('capabilities', `not: ${missing.join(', ')}`, 'run as root, or with both capabilities');
}

export async function checkTools({ isOnTables }: Pick<Mode, 'isOnTables'>): Promise<Finding> {
  const missing: string[] = [];
  const unsure: string[] = [];
  const lacks = async (tool: string): Promise<boolean> => {
    try {
      await runCommand(tool, ['--version'], { timeoutMs: askTimeoutMs });
      return false;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      // A tool that does not know --version is there all the same.
      if (error.exitCode === undefined && !error.notFound) unsure.push(error.message);
      return error.notFound;
    }
  };
  if (isOnTables && (await lacks('flock')))
    missing.push('flock (util-linux), which keeps two vipwire processes from writing at once');
  const generation = new NfGeneration();
  const error: unknown = await generation.readGeneration().catch((thrown: unknown) => thrown);
  generation.close();
  if (error instanceof NetlinkUnavailableError)
    for (const tool of ['ip', 'conntrack', ...(isOnTables ? [] : ['nft'])])
      if (await lacks(tool)) missing.push(`${tool}, which is needed because the netlink addon does not load`);
  if (unsure.length > 0) return cannotTell('tools', unsure.join('; '), '');
  if (missing.length === 0) return ok('tools', 'all that are needed');
  return warn('tools', `missing: ${missing.join('; ')}`, 'install them; the image has them');
}

const forwarding: Readonly<Record<Family, string>> = {
  IPv4: 'net/ipv4/ip_forward',
  IPv6: 'net/ipv6/conf/all/forwarding',
};

export async function checkSettings(configuration: ProxyConfiguration, families: Iterable<Family>): Promise<Finding[]> {
  const mode = modes[configuration.mode];
  const findings: Finding[] = [];
  for (const family of families) {
    const path = forwarding[family];
    // Without a cluster CIDR of IPv6, it is not known whether pods have IPv6 at all.
    if (family === 'IPv6' && !configuration.clusterCIDRs.some((cidr) => cidr.includes(':'))) continue;
    // In that mode vipwire turns it on itself, as kube-proxy does.
    if (mode.turnsForwardingOn && path === forwarding.IPv4 && (await checkSysctl(path)) === undefined) continue;
    const isOn = await numberAt(path);
    if (isOn.kind === 'unknown') findings.push(cannotTell('forwarding', `${family}: ${isOn.reason}`, ''));
    else if (isOn.kind === 'found' && isOn.value === 0)
      findings.push(
        warn(
          'forwarding',
          `${family} is off: nothing passes between pods and the network`,
          `sysctl -w ${path.replaceAll('/', '.')}=1`,
        ),
      );
  }
  const unwritable = await findUnwritable(configuration, mode);
  findings.push(
    unwritable.length === 0
      ? ok('kernel settings', 'as the configuration asks, or can be written')
      : warn(
          'kernel settings',
          `cannot be written: ${unwritable.join(', ')}`,
          'run --init-only in a privileged init container first',
        ),
  );
  return [...findings, ...(await checkBridges()), ...(await checkConntrack())];
}

async function checkBridges(): Promise<Finding[]> {
  let bridges: string[];
  try {
    bridges = (await readBridges()).filter((name) => name !== 'docker0');
  } catch (error) {
    return [cannotTell('bridges', messageOf(error), '')];
  }
  if (bridges.length === 0) return [];
  const calls = await numberAt('net/bridge/bridge-nf-call-iptables');
  if (calls.kind === 'unknown') return [cannotTell('bridges', calls.reason, '')];
  if (calls.kind === 'found' && calls.value === 1) return [];
  return [
    warn(
      'bridges',
      `packets between pods on ${bridges.join(', ')} bypass iptables`,
      'if the CNI connects its pods there: modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1',
    ),
  ];
}

async function checkConntrack(): Promise<Finding[]> {
  const count = await numberAt('net/netfilter/nf_conntrack_count');
  const max = await numberAt('net/netfilter/nf_conntrack_max');
  const [why] = [count, max].flatMap((it) => (it.kind === 'unknown' ? it.reason : []));
  if (why !== undefined) return [cannotTell('connection tracker', why, '')];
  if (count.kind !== 'found' || max.kind !== 'found')
    return [
      warn(
        'connection tracker',
        'nf_conntrack is not loaded yet',
        'the first rule loads it; if it does not: modprobe nf_conntrack',
      ),
    ];
  const what = `${count.value} of ${max.value} connections`;
  if (count.value < 0.8 * max.value) return [ok('connection tracker', what)];
  return [
    warn(
      'connection tracker',
      `${what}: new connections are dropped when it is full`,
      'raise conntrack.min or conntrack.maxPerCore',
    ),
  ];
}
