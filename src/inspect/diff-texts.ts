/** What the tools print, taken for what the kernel holds, against what it should hold. */
import type { IpvsKernel } from '../backends/ipvs/backend';
import { endOf } from '../backends/ipvs/our-servers';
import { SetParser } from '../backends/ipvs/ipset-text';
import type { KernelTexts } from '../compare/parse-kernel';
import type { ProxyConfiguration } from '../config/configuration';
import { diffIptables } from '../diff/diff-iptables';
import { diffIpvs } from '../diff/diff-ipvs';
import type { KernelDiff } from '../diff/kernel-diff';
import { parseSeenServers } from '../diff/parse-seen-servers';
import { familyOf } from '../model/address';
import { UserError } from '../model/user-error';
import type { Plan } from '../planner/plan';
import { parseBoundAddresses } from '../trace/ipvs-servers';
import { type SavedTables, SaveParser } from '../xtables/parse-save';
import type { KernelTables } from '../xtables/rules';
import { usualSettings } from '../machine/iptables-settings';
import { dryIpvsBackend } from '../machine/ipvs-machine';

/** `dropInvalid`: as of IptablesSettings. */
export function diffIptablesTexts(
  plan: Plan,
  { iptablesSave = '', unread = [] }: KernelTexts,
  configuration: ProxyConfiguration,
  nodeName: string,
  dropInvalid: boolean,
): KernelDiff {
  const settings = {
    ...usualSettings(configuration),
    // What the kernel takes is seen by what was written to it.
    hasBpf: !iptablesSave.includes('KUBE-SEP-hairpin'),
    hasNfacct: iptablesSave.includes('--nfacct-name'),
    dropInvalid,
  };
  return diffIptables(plan, { saved: parseSave(iptablesSave), unread }, settings, nodeName);
}

function parseSave(text: string): SavedTables {
  const parser = new SaveParser();
  for (const line of text.split('\n')) parser.line(line);
  return parser.result();
}

/** Throws UserError where a text that is needed is missing. */
export async function diffIpvsTexts(
  plan: Plan,
  { iptablesSave, unread = [], ipvsadm = '', ipset = '', addresses }: KernelTexts,
  configuration: ProxyConfiguration,
  nodeName: string,
): Promise<KernelDiff> {
  const { family } = plan;
  if (iptablesSave === undefined) throw new UserError('IPVS mode: --iptables-save is needed too');
  const parser = new SetParser(family);
  for (const line of ipset.split('\n')) parser.line(line);
  const sets = parser.result();
  const ofDevice = addresses === undefined ? undefined : parseBoundAddresses(addresses);
  const prefix = family === 'IPv4' ? 'KUBE-IPVS-IPS ' : 'KUBE-6-IPVS-IPS ';
  const inSet = [...sets.elements.keys()].filter((element) => element.startsWith(prefix));
  const bound = ofDevice ?? inSet.map((element) => element.slice(prefix.length));
  const saved = parseSave(iptablesSave);
  const seen = parseSeenServers(ipvsadm, family);
  const reads: Pick<IpvsKernel, 'readServers' | 'readSets' | 'readAddresses'> = {
    readServers: () => Promise.resolve(seen),
    readSets: () => Promise.resolve(sets),
    readAddresses: () => Promise.resolve(bound.filter((address) => familyOf(address) === family)),
  };
  const backend = dryIpvsBackend(family, configuration, tablesOf(saved), reads);
  await backend.read();
  // The Nodes are not known here. The daemon leaves an address of theirs out of the device and out of the set.
  const own = new Set([...bound, ...inSet.map((element) => element.slice(prefix.length))]);
  const served = new Set([...seen.servers.keys()].map((server) => endOf(server).address));
  backend.judgeAddresses((address) => (served.has(address) && !own.has(address) ? 'of a Node' : 'free'));
  backend.render(plan);
  return diffIpvs(plan, backend, { saved, unread }, nodeName);
}

/** Read once. */
function tablesOf(saved: SavedTables): KernelTables {
  const refuse = (): Promise<never> => Promise.reject(new Error('nothing is written'));
  return { variant: 'nft', save: () => Promise.resolve(saved), restore: refuse, canariesStand: refuse };
}
