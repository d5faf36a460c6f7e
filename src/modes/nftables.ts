/** nftables mode: one table per family, with elements for each Service, written by netlink. */
import type { Backend } from '../backends/backend';
import { NftablesBackend } from '../backends/nftables/backend';
import { printTableName } from '../backends/nftables/print';
import { printTableJson } from '../backends/nftables/print-json';
import { wholeTable } from '../backends/nftables/whole-table';
import type { ProxyConfiguration } from '../config/configuration';
import { diffNftables } from '../diff/diff-nftables';
import { askIPv6 } from '../host/interfaces';
import { checkNodePortAddresses } from '../machine/check-from-iptables';
import { checkNftables } from '../machine/check-nftables';
import { dryKernel, noKernel, prepareNfTables } from '../machine/nft-kernel';
import { cleanUpNftTables, leftNftTables } from '../machine/leave-nftables';
import { openOnNfTables } from '../machine/open-nftables';
import { masqueradeMarkOf } from '../machine/masquerade-mark';
import { families, type Family } from '../model/address';
import { UserError } from '../model/user-error';
import type { Plan } from '../planner/plan';
import type { Mode } from './mode';

/** Everything is read so often where the generation of nf_tables cannot be read. */
const fullCheckMs = 30_000;

export const nftablesMode: Mode = {
  name: 'nftables',
  needsHostAddresses: false,
  readsServiceCIDRs: true,
  listensOnIPv6Loopback: true,
  isOnTables: false,
  writesByRestore: false,
  turnsForwardingOn: false,
  answersOnLoopback: true,
  checkPeriodMs: () => fullCheckMs,
  open: openOnNfTables,
  modules: () => modules,
  prepareNode: prepareNfTables,
  leftovers: (options) => [leftNftTables(options)],
  cleanUp: (_, log) => cleanUpNftTables(log),
  // The table remembers any number of clients.
  warnOfAffinity: () => Promise.resolve(),
  checkMachine: checkNftables,
  checkServices: checkNodePortAddresses,
  dryBackends: async ({ configuration, assume }) => {
    const served = await servedFamilies();
    return new Map<Family, Backend<unknown>>(
      served.map((family) => [
        family,
        new NftablesBackend(family, settingsOf(configuration), dryKernel(family, assume)),
      ]),
    );
  },
  batchTitle: (family) => `${printTableName(family)}, as nft -f takes it`,
  printRules: (plan, configuration) => {
    const backend = render(plan, configuration);
    return { title: 'input of nft -f', text: backend.print(backend.diff() ?? []) };
  },
  renderTexts: (plan, configuration) => {
    const steps = render(plan, configuration).diff() ?? [];
    return { nft: printTableJson(wholeTable(steps.flatMap(({ writes }) => writes)), plan.family) };
  },
  diff: ({ plan, texts: { nft }, configuration, nodeName }) => {
    if (nft === undefined) throw new UserError('nftables mode: --nft is needed');
    return diffNftables(plan, nft, settingsOf(configuration), nodeName);
  },
};

/** What rules and chains need. The kernel loads those that are missing when it is asked for them, where it may load modules. */
const modules = [
  'nft_chain_nat',
  'nft_nat',
  'nft_masq',
  'nft_ct',
  'nft_fib_ipv4',
  'nft_fib_ipv6',
  'nft_numgen',
  'nft_hash',
  'nft_reject_ipv4',
  'nft_reject_ipv6',
] as const;

function render(plan: Plan, configuration: ProxyConfiguration): NftablesBackend {
  const backend = new NftablesBackend(plan.family, settingsOf(configuration), noKernel);
  backend.render(plan);
  return backend;
}

/** Where it cannot be told whether there is IPv6, the rules are shown. */
async function servedFamilies(): Promise<readonly Family[]> {
  return (await askIPv6()).kind === 'absent' ? ['IPv4'] : families;
}

function settingsOf(configuration: ProxyConfiguration): ConstructorParameters<typeof NftablesBackend>[1] {
  return { masqueradeMark: masqueradeMarkOf(configuration) };
}
