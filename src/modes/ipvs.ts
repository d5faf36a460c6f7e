/** IPVS mode: virtual servers and sets. The number of iptables rules is the same for one Service and for 10,000. */
import type { Backend } from '../backends/backend';
import type { IpvsKernel } from '../backends/ipvs/backend';
import { prepareNode, thisNode } from '../backends/ipvs/driver';
import { openServers } from '../backends/ipvs/servers/driver';
import { SetParser } from '../backends/ipvs/sets/ipset-text';
import { printServerWrites } from '../backends/ipvs/servers/ipvsadm-text';
import { endOf } from '../backends/ipvs/servers/our-servers';
import type { KernelTexts } from '../compare/parse-kernel';
import type { ProxyConfiguration } from '../config/configuration';
import { diffIpvs } from '../diff/diff-ipvs';
import { parseSeenServers } from '../diff/parse-seen-servers';
import { runCommand } from '../host/command';
import { checkIpvs } from '../machine/check-ipvs';
import { checkTables } from '../machine/check-tables';
import { openForReading } from '../machine/dry-tables';
import { IpvsFamilies } from '../machine/ipvs-families';
import { dryIpvsBackend, readsOfMachine } from '../machine/ipvs-machine';
import { cleanUpIpvs, leftOfIpvs } from '../machine/leave-ipvs';
import {
  drainLimitOf,
  type MachineOptions,
  noTables,
  type OpenedMode,
  type SharedParts,
} from '../machine/open-machine';
import { openOnTables, type TablesMode } from '../machine/open-tables';
import { type Family, familyOf } from '../model/address';
import { found } from '../model/answer';
import { schedulerName } from '../model/scheduler';
import { UserError } from '../model/user-error';
import type { Plan } from '../planner/plan';
import { parseBoundAddresses } from '../trace/ipvs-servers';
import { parseSave, type SavedTables } from '../xtables/parse-save';
import { printStep } from '../xtables/rules';
import type { KernelTables } from '../xtables/kernel-tables';
import type { DiffRequest, Mode } from './mode';

export const ipvsMode: Mode = {
  name: 'ipvs',
  needsHostAddresses: true,
  readsServiceCIDRs: false,
  listensOnIPv6Loopback: false,
  isOnTables: true,
  writesByRestore: false,
  turnsForwardingOn: true,
  answersOnLoopback: false,
  checkPeriodMs: ({ ipvs }) => ipvs.checkPeriodMs,
  open: openIpvs,
  modules: ({ ipvs }) => ['ip_vs', `ip_vs_${schedulerName(ipvs.scheduler)}`, 'ip_set', 'xt_set', 'dummy'],
  prepareNode: async ({ ipvs }, log) => {
    // Where modprobe cannot load ip_vs, the kernel loads it at the first request.
    (await openServers('IPv4', runCommand)).close();
    await prepareNode(thisNode, { strictArp: ipvs.strictARP }, log);
  },
  leftovers: (options) => [leftOfIpvs(options)],
  cleanUp: cleanUpIpvs,
  // IPVS remembers clients by itself.
  warnOfAffinity: () => Promise.resolve(),
  checkMachine: async ({ ipvs }, iptablesVariant) => {
    const { findings, drivers } = await checkTables(iptablesVariant);
    return { findings: [...findings, ...(await checkIpvs(ipvs, drivers))], families: [...drivers.keys()] };
  },
  checkServices: () => Promise.resolve([]),
  dryBackends: async (request) => {
    const { configuration, assume } = request;
    const tables = await openForReading(request);
    return new Map<Family, Backend<unknown>>(
      [...tables].map(([family, readable]) => [
        family,
        dryIpvsBackend(family, configuration, readable, readsOfMachine(family, assume)),
      ]),
    );
  },
  // The text names the tool of each part.
  batchTitle: (family) => family,
  printRules: (plan, configuration) => {
    const backend = dryIpvsBackend(plan.family, configuration, noTables);
    backend.render(plan);
    return { title: 'IPVS, what each tool is given', text: backend.print(backend.diff() ?? []) };
  },
  renderTexts,
  diff: diffTexts,
};

async function openIpvs(options: MachineOptions, shared: SharedParts): Promise<OpenedMode> {
  const { configuration, countPackets, log } = options;
  countPackets(undefined);
  const ipvs = await IpvsFamilies.open({ ...shared, configuration, drainLimitMs: drainLimitOf(options), log });
  const openFamily: TablesMode['openFamily'] = async (driver, watched) => {
    const backend = await ipvs.openFamily(driver, watched);
    return backend.kind === 'found' ? found({ backend: backend.value }) : backend;
  };
  return openOnTables({ hasMore: true, openFamily }, options, shared);
}

function renderTexts(plan: Plan, configuration: ProxyConfiguration): KernelTexts {
  const backend = dryIpvsBackend(plan.family, configuration, noTables);
  backend.render(plan);
  let [iptablesSave, ipvsadm, ipset] = ['', '', ''];
  for (const stage of backend.diff() ?? [])
    if (stage.kind === 'rules') iptablesSave += printStep(stage.step);
    else if (stage.kind === 'servers') ipvsadm += printServerWrites(stage.writes, plan.family);
    else if (stage.kind === 'sets') ipset += stage.input;
  return { iptablesSave, ipvsadm, ipset };
}

async function diffTexts({ plan, texts, configuration, nodeName }: DiffRequest): ReturnType<Mode['diff']> {
  const { family } = plan;
  const { iptablesSave, unread = [], ipvsadm = '', ipset = '', addresses } = texts;
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
  // The Nodes' addresses are not known here. The daemon leaves them out of the device and out of the set.
  const own = new Set([...bound, ...inSet.map((element) => element.slice(prefix.length))]);
  const served = new Set([...seen.servers.keys()].map((server) => endOf(server).address));
  backend.judgeAddresses((address) => (served.has(address) && !own.has(address) ? 'of a Node' : 'free'));
  backend.render(plan);
  return diffIpvs(plan, backend, { saved, unread }, nodeName);
}

/** Tables that were read already, and are not written. */
function tablesOf(saved: SavedTables): KernelTables {
  const refuse = (): Promise<never> => Promise.reject(new Error('nothing is written'));
  return { variant: 'nft', save: () => Promise.resolve(saved), restore: refuse, canariesStand: refuse };
}
