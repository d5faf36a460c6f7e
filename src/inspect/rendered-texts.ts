/** A Plan's rules in memory, as the tools would print them of a node that has nothing else. */
import { IptablesBackend } from '../backends/iptables/backend';
import { printListing } from '../backends/iptables/print-listing';
import { printServerWrites } from '../backends/ipvs/ipvsadm-text';
import type { KernelTexts } from '../compare/parse-kernel';
import type { ProxyConfiguration } from '../config/configuration';
import type { Plan } from '../planner/plan';
import { type KernelTables, printStep } from '../xtables/rules';
import { usualSettings } from '../machine/iptables-settings';
import { dryIpvsBackend } from '../machine/ipvs-machine';

/** Nothing is read or written: a rule set in memory. */
export const noTables: KernelTables = {
  variant: 'nft',
  save: () => Promise.reject(new Error('there are no tables')),
  restore: () => Promise.reject(new Error('there are no tables')),
  canariesStand: () => Promise.reject(new Error('there are no tables')),
};

export function renderTexts(plan: Plan, configuration: ProxyConfiguration): KernelTexts {
  if (configuration.mode === 'ipvs') return renderIpvs(plan, configuration);
  const backend = new IptablesBackend(plan.family, usualSettings(configuration), noTables);
  backend.render(plan);
  return { iptablesSave: printListing(backend.rules, plan) };
}

function renderIpvs(plan: Plan, configuration: ProxyConfiguration): KernelTexts {
  const backend = dryIpvsBackend(plan.family, configuration, noTables);
  backend.render(plan);
  let [iptablesSave, ipvsadm, ipset] = ['', '', ''];
  for (const stage of backend.diff() ?? [])
    if (stage.kind === 'rules') iptablesSave += printStep(stage.step);
    else if (stage.kind === 'servers') ipvsadm += printServerWrites(stage.writes, plan.family);
    else if (stage.kind === 'sets') ipset += stage.input;
  return { iptablesSave, ipvsadm, ipset };
}
