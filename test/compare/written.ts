/** What a node's tools would print, had vipwire written this Plan. */
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { printListing } from '../../src/backends/iptables/print';
import { DesiredState } from '../../src/backends/ipvs/desired-state';
import { printSetAdditions } from '../../src/backends/ipvs/sets/ipset-text';
import { printServer } from '../../src/backends/ipvs/servers/ipvsadm-text';
import { NftablesBackend } from '../../src/backends/nftables/backend';
import { printTableJson } from '../../src/backends/nftables/print-json';
import { wholeTable } from '../../src/backends/nftables/whole-table';
import { usualSettings } from '../../src/machine/iptables-settings';
import type { KernelTexts } from '../../src/compare/parse-kernel';
import type { Plan } from '../../src/planner/plan';
import { tableNames } from '../../src/xtables/rules';
import { InMemoryTable } from '../backends/nftables/in-memory';
import { labConfiguration } from '../conformance/planned-cluster';
import { FakeIptables } from '../support/fake-iptables';
import { ipvsSettings } from '../support/settings';

export function writeIptables(plan: Plan): KernelTexts {
  const backend = new IptablesBackend(plan.family, usualSettings(labConfiguration({})), new FakeIptables());
  backend.render(plan);
  return { iptablesSave: printListing(backend.rules, plan) };
}

export function writeIpvs(plan: Plan): KernelTexts {
  const state = new DesiredState(plan.family, ipvsSettings);
  state.render(plan);
  const writes = state.sets.pendingWrites();
  const tables = tableNames.map((table) => {
    const chains = [...state.tables[table].desiredEntries()];
    const jumps = state.jumps.filter((jump) => jump.table === table).map(({ from, rule }) => `-A ${from} ${rule}`);
    return [`*${table}`, ...chains.map(([name]) => `:${name} - [0:0]`), ...jumps, ...chains.map(([, lines]) => lines)];
  });
  return {
    ipvsadm: [...state.servers.desiredEntries()]
      .map(([server, text]) => printServer(server, text, plan.family))
      .join(''),
    ipset: writes === undefined ? '' : printSetAdditions(writes),
    addresses: [...state.addresses.desiredEntries()]
      .map(([address]) => `6: kube-ipvs0    inet ${address}/32 scope global kube-ipvs0`)
      .join('\n'),
    iptablesSave: tables.flat().join('\n'),
  };
}

export function writeNftables(plan: Plan): KernelTexts {
  const backend = new NftablesBackend(plan.family, { masqueradeMark: 0x4000 }, new InMemoryTable(plan.family));
  backend.render(plan);
  const writes = (backend.diff() ?? []).flatMap((step) => step.writes);
  return { nft: printTableJson(wholeTable(writes), plan.family) };
}
