/** iptables mode: chains per Service, and nothing but iptables-restore to write them. */
import { IptablesBackend } from '../backends/iptables/backend';
import { printListing } from '../backends/iptables/print';
import type { Backend } from '../backends/backend';
import { diffIptables } from '../diff/diff-iptables';
import { PacketCounters } from '../host/packet-counters';
import { askSysctl } from '../host/sysctl';
import { askAffinityLimit, raiseAffinityLimit, warnOfAffinityLimit } from '../machine/affinity-limit';
import { cannotTell, type Finding, ok, warn } from '../machine/finding';
import {
  localSettings,
  probedSettings,
  readCounters,
  settingQuestions,
  usualSettings,
  withCounters,
} from '../machine/iptables-settings';
import type { OpenedFamily } from '../machine/machine-families';
import { type MachineOptions, noTables, type OpenedMode, type SharedParts } from '../machine/open-machine';
import type { Family } from '../model/address';
import { absent, type Answer, found, type Unknown } from '../model/answer';
import type { Service } from '../model/cluster';
import { UserError } from '../model/user-error';
import type { OpenQuestions } from '../telemetry/open-questions';
import type { IptablesDriver } from '../xtables/driver';
import { parseSave } from '../xtables/parse-save';
import type { DiffRequest, Mode } from './mode';

const fullCheckMs = 30_000;

export const iptablesMode: Mode = {
  name: 'iptables',
  needsHostAddresses: false,
  writesByRestore: true,
  turnsForwardingOn: false,
  answersOnLoopback: true,
  hasMoreThanTables: false,
  checkPeriodMs: () => fullCheckMs,
  open: (options, shared) => Promise.resolve(openIptables(options, shared)),
  modules: () => [],
  prepareNode: () => Promise.resolve(),
  // Every other mode takes its chains over, or removes them with the first write.
  leave: () => Promise.resolve(),
  warnOfAffinity: warnOfAffinityLimit,
  checkMachine: async (_, drivers) => {
    const [first] = drivers.values();
    return first === undefined ? [] : checkMatches(first);
  },
  checkServices: checkAffinity,
  dryBackends: async (configuration, tables, log) => {
    const counters = new PacketCounters();
    const { settings, assumed } = await localSettings(configuration, counters);
    counters.close();
    for (const [question, { reason }] of assumed) log.warn({ reason }, `cannot tell ${question}; the usual is assumed`);
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

function openIptables(options: MachineOptions, { watched, opened }: SharedParts): OpenedMode {
  const { configuration, questions, countPackets, log } = options;
  const counters = new PacketCounters();
  opened.push(counters);
  countPackets(() => readCounters(counters));
  const openFamily = async (driver: IptablesDriver): Promise<Answer<OpenedFamily>> => {
    const probed = await probedSettings(driver, configuration, counters, log);
    if (probed.kind !== 'found') return probed;
    const { settings, assumed } = probed.value;
    tellAssumed(assumed, questions);
    const tables = settings.hasNfacct ? withCounters(driver, counters) : driver;
    const backend = new IptablesBackend(driver.family, settings, watched(tables, driver.family));
    if (assumed.size === 0) return found({ backend });
    const askAgain = async (): Promise<Answer<OpenedFamily>> => {
      const now = await localSettings(configuration, counters);
      tellAssumed(now.assumed, questions);
      const [why] = now.assumed.values();
      if (why !== undefined) return why;
      const { dropInvalid, hasNfacct } = now.settings;
      const isSame = dropInvalid === settings.dropInvalid && hasNfacct === settings.hasNfacct;
      return isSame ? absent : openFamily(driver);
    };
    return found({ backend, askAgain });
  };
  return { openFamily };
}

function tellAssumed(assumed: ReadonlyMap<string, Unknown>, questions: OpenQuestions): void {
  for (const question of settingQuestions) {
    const why = assumed.get(question);
    if (why === undefined) questions.answered(question);
    else questions.unanswered(question, why);
  }
}

const matches = [
  [
    'xt_recent',
    '-m recent --update --seconds 1 --reap --name KUBE-SEP-probe',
    'sessionAffinity ClientIP has no effect',
  ],
  ['xt_sctp', '-p sctp -m sctp --dport 1', 'SCTP ports are not served'],
  ['xt_statistic', '-m statistic --mode random --probability 0.5', 'nothing is balanced'],
] as const;

async function checkMatches(driver: IptablesDriver): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [module, match, without] of matches) {
    const answer = await driver.canMatch(match);
    if (answer.kind === 'unknown') findings.push(cannotTell('iptables', `${module}: ${answer.reason}`, ''));
    else if (answer.kind === 'absent')
      findings.push(warn('iptables', `the kernel has no ${module}: ${without}`, `modprobe ${module}`));
  }
  return findings;
}

async function checkAffinity(services: readonly Service[]): Promise<Finding[]> {
  const count = services.filter(({ affinitySeconds }) => affinitySeconds > 0).length;
  if (count === 0) return [];
  const limit = await askAffinityLimit();
  if (limit.kind !== 'found') return [cannotTell('session affinity', limit.kind === 'unknown' ? limit.reason : '', '')];
  const { clients, isLow } = limit.value;
  const what = `${count} Services; ${clients} clients an endpoint are remembered`;
  if (!isLow) return [ok('session affinity', what)];
  return [
    warn('session affinity', `${what}, the next one takes the place of the oldest`, `more: ${raiseAffinityLimit}`),
  ];
}

async function diffTexts({ plan, texts, configuration, nodeName, isOffline }: DiffRequest): ReturnType<Mode['diff']> {
  const { iptablesSave = '', unread = [] } = texts;
  const settings = {
    ...usualSettings(configuration),
    // What the kernel takes is seen by what was written to it.
    hasBpf: !iptablesSave.includes('KUBE-SEP-hairpin'),
    hasNfacct: iptablesSave.includes('--nfacct-name'),
    dropInvalid: isOffline || (await isStrict()),
  };
  return diffIptables(plan, { saved: parseSave(iptablesSave), unread }, settings, nodeName);
}

/** Throws UserError where it cannot be told: what the rules should be depends on it. */
async function isStrict(): Promise<boolean> {
  const isLiberal = await askSysctl('net/netfilter/nf_conntrack_tcp_be_liberal');
  if (isLiberal.kind === 'unknown') throw new UserError(`cannot tell what the rules should be: ${isLiberal.reason}`);
  return isLiberal.kind === 'absent' || isLiberal.value === '0';
}
