/** What kube-proxy 1.36.2 wrote for these clusters (recorded), compared with what we write for them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DesiredState } from '../../../src/backends/ipvs/desired-state';
import { SetParser } from '../../../src/backends/ipvs/sets/ipset-text';
import { printServer } from '../../../src/backends/ipvs/servers/ipvsadm-text';
import { families, type Family } from '../../../src/model/address';
import { tableNames } from '../../../src/xtables/rules';
import { PlannedCluster } from '../../conformance/planned-cluster';
import { recordedScenarios } from '../../conformance/recorded-scenarios';
import { ipvsSettings } from '../../support/settings';

const folder = join('test', 'recorded', 'ipvs');
const names = readdirSync(folder).flatMap((file) => /^(.*)\.1\.ipvs$/.exec(file)?.[1] ?? []);
const cases = names.flatMap((name) => families.map((family) => [name, family] as const));

function recorded(name: string, kind: string): string[] {
  return readFileSync(join(folder, `${name}.1.${kind}`), 'utf8').split('\n');
}

function render(name: string, family: Family): DesiredState {
  const scenario = recordedScenarios('ipvs').find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  const cluster = new PlannedCluster({ ...scenario.config, mode: 'ipvs' }, [
    '192.168.88.10',
    'fd88::10',
    '10.244.1.1',
    'fd44:1::1',
  ]);
  cluster.apply(scenario.steps[0]?.objects ?? []);
  const state = new DesiredState(family, ipvsSettings);
  state.render(cluster.plans[family]);
  return state;
}

const isOf = (family: Family) => (line: string) => line.includes('[') === (family === 'IPv6');

test.each(cases)('%s, %s: virtual servers', (name, family) => {
  const lines = [...render(name, family).servers.desiredEntries()]
    .filter(([server]) => !server.startsWith('FWM '))
    .flatMap(([server, text]) => printServer(server, text, family).trimEnd().split('\n'));
  const theirs = recorded(name, 'ipvs').filter((line) => line !== '' && isOf(family)(line));
  expect(lines.sort()).toEqual(theirs.sort());
});

test.each(cases)('%s, %s: addresses', (name, family) => {
  const theirs = recorded(name, 'addr').flatMap((line) => {
    const [, address] = new RegExp(` inet${family === 'IPv6' ? '6' : ''} (\\S+)/`).exec(line) ?? [];
    return address === undefined || address.startsWith('fe80:') ? [] : address;
  });
  const ours = [...render(name, family).addresses.desiredEntries()].map(([address]) => address);
  expect(ours.sort()).toEqual(theirs.sort());
});

test.each(cases)('%s, %s: sets', (name, family) => {
  const parser = new SetParser(family);
  for (const line of recorded(name, 'ipset')) parser.line(line);
  const { elements } = parser.result();
  const additions = new Map(render(name, family).sets.pendingWrites()?.additions);
  // Ours: VIPs with a mark and those that drop, in sets of their own and, as the sign that we are at work, with themselves as the
  // source; the marks; and the node's addresses.
  const own = [...additions.keys()].flatMap((element) => {
    const [set = '', entry = ''] = element.split(' ');
    if (/IPVS-(NODE-IPS|MARKS)$/.test(set)) return [element];
    if (!/IPVS-(LOCAL|DROP)$/.test(set)) return [];
    const loopBack = set.replace(/IPVS-(LOCAL|DROP)/, 'LOOP-BACK');
    return [element, `${loopBack} ${entry},${entry.slice(0, entry.indexOf(','))}`];
  });
  for (const element of new Set(own)) expect(additions.delete(element)).toBe(true);
  expect(additions).toEqual(elements);
});

/** kube-proxy's rules that we write in other words or in other places. */
const reworded = [
  // A VIP is always an address of this node, and never one of a bridge port.
  /--match-set KUBE-(6-)?EXTERNAL-IP\S* dst,dst (-m physdev .*|-m addrtype --dst-type LOCAL )-j ACCEPT$/,
  // We do this with sets, in mangle.
  /^-A KUBE-IPVS-OUT-FILTER /,
  /^-A OUTPUT .* -j KUBE-IPVS-OUT-FILTER$/,
];

test.each(cases)('%s, %s: rules', (name, family) => {
  const state = render(name, family);
  const ours = [
    ...tableNames.flatMap((table) =>
      [...state.tables[table].desiredEntries()].flatMap(([, lines]) => lines.split('\n')),
    ),
    ...state.jumps.map(({ from, rule }) => `-A ${from} ${rule}`),
  ];
  const theirs = recorded(name, family === 'IPv4' ? 'v4.rules' : 'v6.rules').filter((line) => line.startsWith('-A '));
  expect(theirs.length).toBeGreaterThan(20);
  expect(theirs.filter((line) => !ours.includes(line) && !reworded.some((rule) => rule.test(line)))).toEqual([]);
});
