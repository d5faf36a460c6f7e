/** What becomes different on a node that had rules of iptables, in a mode that does not write there. */
import { packetCounters } from '../backends/iptables/render-fixed';
import { nodeConfigOf } from '../config/node-config';
import type { ProxyConfiguration } from '../config/configuration';
import { CommandError, runCommand } from '../host/command';
import { readInterfaceAddresses } from '../host/interfaces';
import { type DroppingChain, readDroppingChains } from '../host/nf-hooks';
import { PacketCounters } from '../host/packet-counters';
import { askSysctl } from '../host/sysctl';
import { isLinkLocalIPv6, isLoopback, familyOf } from '../model/address';
import type { Family } from '../model/address';
import { messageOf } from '../model/error-message';
import { UserError } from '../model/user-error';
import { answersOnLocalhost } from '../planner/node-port-addresses';
import { planNodeSettings } from '../planner/node-settings';
import { createLogger } from '../telemetry/logger';
import { nameSome } from '../telemetry/name-some';
import type { IptablesDriver } from '../xtables/driver';
import { readSaveText } from '../xtables/driver';
import type { IptablesVariant } from '../xtables/variant';
import { cannotTell, type CheckedCluster, type Finding, ok, warn } from './finding';
import { openTables } from './tables';
import { nftTableName } from './told-tables';

/** A service proxy's rules in tables of iptables, as iptables-save prints them. */
interface ServiceRules {
  readonly driver: IptablesDriver;
  readonly text: string;
}

export async function checkFromIptables(
  configuration: ProxyConfiguration,
  wanted: IptablesVariant,
): Promise<Finding[]> {
  const rules = await readServiceRules(wanted);
  const findings = await checkHostFirewall(typeof rules === 'string' ? [] : rules);
  if (typeof rules === 'string') return [...findings, cannotTell('iptables', rules, '')];
  if (rules.length === 0) return findings;
  const families = rules.map(({ driver }) => driver.family).join(', ');
  const from = ok('iptables', `rules of a service proxy (${families}), which go once those of this mode are in force`);
  return [from, ...(await checkInvalid(configuration, rules)), ...(await checkLocalhost(configuration)), ...findings];
}

/** Returns why they cannot be read. Without the tools there are none: the daemon names what it cannot remove. */
async function readServiceRules(wanted: IptablesVariant): Promise<readonly ServiceRules[] | string> {
  const silent = createLogger({ verbosity: 0, format: 'text' }, () => undefined);
  try {
    const { drivers } = await openTables(wanted, silent);
    const rules: ServiceRules[] = [];
    for (const driver of drivers.values()) {
      const { text } = await readSaveText(runCommand, driver.variant, driver.family);
      if (/^:KUBE-SERVICES /m.test(text)) rules.push({ driver, text });
    }
    return rules;
  } catch (error) {
    if (error instanceof UserError) return [];
    if (error instanceof CommandError) return messageOf(error);
    throw error;
  }
}

/** A policy of DROP keeps out what KUBE-FORWARD and KUBE-NODEPORTS accepted so far: no rule of this mode can accept for another table. */
async function checkHostFirewall(rules: readonly ServiceRules[]): Promise<Finding[]> {
  const check = 'host firewall';
  let chains: readonly DroppingChain[];
  try {
    chains = [...(await readDroppingChains()), ...rules.flatMap(legacyDropping)];
  } catch (error) {
    return [cannotTell(check, messageOf(error), '')];
  }
  const forward = chains.filter(({ hook }) => hook === 'forward').map(({ name }) => name);
  const input = chains.filter(({ hook }) => hook === 'input').map(({ name }) => name);
  const findings: Finding[] = [];
  if (forward.length > 0)
    findings.push(
      warn(
        check,
        `${forward.join(', ')}: policy drop, and this mode has no KUBE-FORWARD that accepts the traffic of Services`,
        'accept it there: `ct status dnat accept` and `ct state established,related accept`, and the networks of the pods',
      ),
    );
  if (input.length > 0)
    findings.push(
      warn(
        check,
        `${input.join(', ')}: policy drop, and this mode has no rule that accepts connections to health check ports of Services`,
        'accept them there: `tcp dport` with the healthCheckNodePort of each Service with externalTrafficPolicy Local',
      ),
    );
  return findings.length > 0 ? findings : [ok(check, 'no chain of nf_tables has the policy drop')];
}

/** nf_tables does not show the legacy variant's. */
function legacyDropping({ driver: { family, variant }, text }: ServiceRules): readonly DroppingChain[] {
  if (variant === 'nft') return [];
  return (['INPUT', 'FORWARD'] as const).flatMap((chain) =>
    new RegExp(`^:${chain} DROP `, 'm').test(text)
      ? { name: `${nftTableName(family, 'filter')} ${chain}`, hook: chain === 'INPUT' ? 'input' : 'forward' }
      : [],
  );
}

async function checkInvalid(
  { conntrack }: ProxyConfiguration,
  rules: readonly ServiceRules[],
): Promise<readonly Finding[]> {
  const check = 'INVALID packets';
  const dropping = rules.filter(({ text }) => /^-A KUBE-FORWARD .*--ctstate INVALID .*-j DROP/m.test(text));
  if (dropping.length === 0) return [];
  if (conntrack.tcpBeLiberal)
    return [ok(check, 'conntrack.tcpBeLiberal: late packets of a connection are not INVALID')];
  let packets = 0;
  try {
    for (const { driver } of dropping) packets += await countInvalid(driver);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return [cannotTell(check, error.message, '')];
  }
  const what = `${packets} dropped so far by KUBE-FORWARD; in this mode nothing drops them`;
  if (packets === 0) return [ok(check, what)];
  return [
    warn(
      check,
      `${what}, and a client that is sent one with the address of a pod resets its connection`,
      'conntrack.tcpBeLiberal: true (--conntrack-tcp-be-liberal)',
    ),
  ];
}

async function countInvalid({ family, variant }: IptablesDriver): Promise<number> {
  const tool = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${variant}`;
  const { stdout } = await runCommand(tool, ['-w', '-v', '-S', 'KUBE-FORWARD']);
  const counts = stdout.matchAll(/--ctstate INVALID .*-c (\d+) \d+ -j DROP/g);
  return Array.from(counts, ([, packets]) => Number(packets)).reduce((sum, packets) => sum + packets, 0);
}

/** NodePorts on 127.0.0.1. They answer there in iptables mode by default. */
async function checkLocalhost(configuration: ProxyConfiguration): Promise<readonly Finding[]> {
  const check = 'localhost NodePorts';
  const routed = await askSysctl('net/ipv4/conf/all/route_localnet');
  if (answersOnLocalhost(configuration) || routed.kind === 'absent') return [];
  if (routed.kind === 'unknown') return [cannotTell(check, routed.reason, '')];
  if (routed.value !== '1') return [];
  const counters = new PacketCounters();
  const todo = 'to keep them: nodePortAddresses with localhost, for example [primary, localhost]';
  try {
    const count = await counters.read(packetCounters.acceptedOnLocalhost);
    if (count === 0) return [ok(check, 'none was connected to so far, and none will answer')];
    const used = count === undefined ? 'nobody counts how often they are used' : `${count} connections so far`;
    return [warn(check, `NodePorts no longer answer on 127.0.0.1: ${used}`, todo)];
  } catch (error) {
    return [cannotTell(check, messageOf(error), todo)];
  } finally {
    counters.close();
  }
}

/** On which addresses NodePorts no longer answer. In iptables mode they answer on all, by default. */
export async function checkNodePortAddresses({
  services,
  node,
  nodeName,
  configuration,
  iptablesVariant,
  mode,
}: CheckedCluster): Promise<Finding[]> {
  const check = 'NodePort addresses';
  if (!services.some(({ ports }) => ports.some(({ nodePort }) => nodePort > 0))) return [];
  const rules = await readServiceRules(iptablesVariant);
  if (typeof rules === 'string') return [cannotTell(check, rules, '')];
  const onAll = new Set<Family>(
    rules.filter(({ text }) => /--dst-type LOCAL .*-j KUBE-NODEPORTS/.test(text)).map(({ driver }) => driver.family),
  );
  const addresses = (await readInterfaceAddresses(runCommand, 'kube-ipvs0')).map(({ address }) => address);
  const { settings } = planNodeSettings(nodeConfigOf(configuration, nodeName, mode), node, addresses);
  const lost = addresses.filter((address) => {
    const answering = settings.nodePortAddresses[familyOf(address)];
    if (isLoopback(address) || isLinkLocalIPv6(address) || !onAll.has(familyOf(address))) return false;
    return answering.kind === 'some' && !answering.addresses.includes(address);
  });
  if (lost.length === 0) return [];
  return [
    warn(
      check,
      `NodePorts no longer answer on ${nameSome(lost)}: in this mode nodePortAddresses is primary by default`,
      'to keep that: nodePortAddresses: [all]',
    ),
  ];
}
