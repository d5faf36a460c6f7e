/** iptables mode: chains per Service, all written by iptables-restore. */
import type { Backend } from '../backends/backend';
import { IptablesBackend } from '../backends/iptables/backend';
import { printListing } from '../backends/iptables/print';
import { diffIptables } from '../diff/diff-iptables';
import { PacketCounters } from '../host/packet-counters';
import { askSysctl } from '../host/sysctl';
import { warnOfAffinityLimit } from '../machine/affinity-limit';
import { checkAffinity, checkMatches } from '../machine/check-iptables';
import { checkTables } from '../machine/check-tables';
import { openForReading } from '../machine/dry-tables';
import {
  cleanUpCounters,
  localSettings,
  probedSettings,
  readCounters,
  settingQuestions,
  usualSettings,
  withCounters,
} from '../machine/iptables-settings';
import type { OpenedFamily } from '../machine/machine-families';
import { type MachineOptions, noTables, type OpenedMode, type SharedParts } from '../machine/open-machine';
import { openOnTables, type TablesMode } from '../machine/open-tables';
import type { Family } from '../model/address';
import { absent, type Answer, found, type Unknown } from '../model/answer';
import { UserError } from '../model/user-error';
import type { OpenQuestions } from '../telemetry/open-questions';
import { parseSave } from '../xtables/parse-save';
import type { DiffRequest, Mode } from './mode';

const fullCheckMs = 30_000;

export const iptablesMode: Mode = {
  name: 'iptables',
  needsHostAddresses: false,
  readsServiceCIDRs: false,
  listensOnIPv6Loopback: false,
  isOnTables: true,
  writesByRestore: true,
  turnsForwardingOn: false,
  answersOnLoopback: true,
  checkPeriodMs: () => fullCheckMs,
  open: openIptables,
  modules: () => [],
  prepareNode: () => Promise.resolve(),
  leftovers: () => [],
  cleanUp: (_, log) => cleanUpCounters(log),
  warnOfAffinity: warnOfAffinityLimit,
  checkMachine: async (_, iptablesVariant) => {
    const { findings, drivers } = await checkTables(iptablesVariant);
    const [first] = drivers.values();
    const matches = first === undefined ? [] : await checkMatches(first);
    return { findings: [...findings, ...matches], families: [...drivers.keys()] };
  },
  checkServices: ({ services }) => checkAffinity(services),
  dryBackends: async (request) => {
    const { configuration, assume } = request;
    const tables = await openForReading(request);
    const counters = new PacketCounters();
    const { settings, assumed } = await localSettings(configuration, counters);
    counters.close();
    for (const [question, { reason }] of assumed)
      assume({ what: `cannot tell ${question}: the usual answer is assumed`, reason });
    return new Map<Family, Backend<unknown>>(
      [...tables].map(([family, readable]) => [family, new IptablesBackend(family, settings, readable)]),
    );
  },
  batchTitle: (family) => `${restoreTool(family)} --noflush`,
  printRules: (plan, configuration) => ({
    title: `input of ${restoreTool(plan.family)} --noflush`,
    text: iptablesMode.renderTexts(plan, configuration).iptablesSave ?? '',
  }),
  renderTexts: (plan, configuration) => {
    const backend = new IptablesBackend(plan.family, usualSettings(configuration), noTables);
    backend.render(plan);
    return { iptablesSave: printListing(backend.rules, plan) };
  },
  diff: diffTexts,
};

function restoreTool(family: Family): string {
  return family === 'IPv4' ? 'iptables-restore' : 'ip6tables-restore';
}

function openIptables(options: MachineOptions, shared: SharedParts): Promise<OpenedMode> {
  const { configuration, questions, countPackets, log } = options;
  const counters = new PacketCounters();
  shared.opened.push(counters);
  countPackets(() => readCounters(counters));
  const openFamily: TablesMode['openFamily'] = async (driver, watched) => {
    const probed = await probedSettings(driver, configuration, counters, log);
    if (probed.kind !== 'found') return probed;
    const { settings, assumed } = probed.value;
    tellAssumed(assumed, questions);
    const tables = settings.hasNfacct ? withCounters(driver, counters) : driver;
    const backend = new IptablesBackend(driver.family, settings, watched(tables));
    if (assumed.size === 0) return found({ backend });
    const askAgain = async (): Promise<Answer<OpenedFamily>> => {
      const now = await localSettings(configuration, counters);
      tellAssumed(now.assumed, questions);
      const [why] = now.assumed.values();
      if (why !== undefined) return why;
      const { dropInvalid, hasNfacct } = now.settings;
      const isSame = dropInvalid === settings.dropInvalid && hasNfacct === settings.hasNfacct;
      return isSame ? absent : openFamily(driver, watched);
    };
    return found({ backend, askAgain });
  };
  return openOnTables({ hasMore: false, openFamily }, options, shared);
}

function tellAssumed(assumed: ReadonlyMap<string, Unknown>, questions: OpenQuestions): void {
  for (const question of settingQuestions) {
    const why = assumed.get(question);
    if (why === undefined) questions.answered(question);
    else questions.unanswered(question, why);
  }
}

async function diffTexts({ plan, texts, configuration, nodeName, isOffline }: DiffRequest): ReturnType<Mode['diff']> {
  const { iptablesSave = '', unread = [] } = texts;
  const settings = {
    ...usualSettings(configuration),
    // What was written to the kernel shows which matches it has.
    hasBpf: !iptablesSave.includes('KUBE-SEP-hairpin'),
    hasNfacct: iptablesSave.includes('--nfacct-name'),
    dropInvalid: isOffline || (await isStrict()),
  };
  return diffIptables(plan, { saved: parseSave(iptablesSave), unread }, settings, nodeName);
}

/** Throws UserError where it cannot be found out, since the rules depend on it. */
async function isStrict(): Promise<boolean> {
  const isLiberal = await askSysctl('net/netfilter/nf_conntrack_tcp_be_liberal');
  if (isLiberal.kind === 'unknown') throw new UserError(`cannot tell what the rules should be: ${isLiberal.reason}`);
  return isLiberal.kind === 'absent' || isLiberal.value === '0';
}
