/** No text of a configuration puts a line of its own into the rules: it is refused, or it is one word of a rule that is there anyway. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { printListing } from '../../src/backends/iptables/print';
import { usualSettings } from '../../src/machine/iptables-settings';
import { noTables } from '../../src/machine/open-machine';
import { completeConfiguration } from '../../src/config/complete';
import { decodeConfiguration } from '../../src/config/decode';
import { fieldAt, type FieldPath, fieldPaths, type Settings } from '../../src/config/fields';
import { printFinding } from '../../src/config/finding';
import { cidrList, text } from '../../src/config/value-kinds';
import { ClusterStore } from '../../src/model/cluster-store';
import { planNodeSettings } from '../../src/planner/node-settings';
import { planCluster } from '../../src/planner/plan-cluster';
import { makeEndpoint, makeService, makeSlice } from '../support/cluster-objects';

const store = new ClusterStore(0);
store.apply([
  { op: 'set', object: makeService() },
  { op: 'set', object: makeSlice([makeEndpoint('10.244.1.2')]) },
]);

/** The rules, or undefined where the configuration is refused. */
function rules(settings: Settings): string[] | undefined {
  const { configuration, problems } = completeConfiguration(settings);
  if (problems.length > 0) {
    for (const { what } of problems) expect(what).not.toContain('\n');
    return undefined;
  }
  const config = { ...configuration, hostname: configuration.hostnameOverride };
  const plan = planCluster(store, 'IPv4', planNodeSettings(config, undefined, []).settings);
  const backend = new IptablesBackend('IPv4', usualSettings(configuration), noTables);
  backend.render(plan);
  return printListing(backend.rules, plan).split('\n');
}

const modes: readonly Settings[] = [
  {},
  { detectLocalMode: 'BridgeInterface', 'detectLocal.bridgeInterface': 'cni0' },
  { detectLocalMode: 'InterfaceNamePrefix', 'detectLocal.interfaceNamePrefix': 'veth' },
];
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\n',
        '\r',
        ' ',
        '"',
        "'",
        '\\',
        ';',
        '$(id)',
        '-j ACCEPT',
        '-A INPUT -j DROP',
        '+',
        '!',
        '\u2028',
        'COMMIT',
      ),
      fc.constantFrom('cni0', '10.0.0.0/8', 'veth', 'a', ','),
      fc.string({ maxLength: 6 }),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => parts.join(''));
const textPaths = fieldPaths.filter((path) => fieldAt(path).kind === text || fieldAt(path).kind === cidrList);

test('every text field, by itself', () => {
  expect(textPaths).toEqual(expect.arrayContaining(['detectLocal.bridgeInterface', 'hostnameOverride', 'clusterCIDR']));
  fc.assert(
    fc.property(fc.constantFrom(...textPaths), hostile, fc.constantFrom(...modes), (path: FieldPath, value, mode) => {
      const found = rules({ ...mode, [path]: fieldAt(path).kind === cidrList ? [value] : value });
      if (found === undefined) return;
      for (const line of found) {
        expect(line).toMatch(/^(#.*|\*\w+|COMMIT|:[\w-]+ [\w-]+ \[0:0\]|-[ADI] [\w-]+ .*|)$/);
        expect(line).not.toMatch(/[\u0000-\u001f\u2028\u2029]/);
        const interfaces = [...line.matchAll(/ -i (\S+)/g)].map(([, name]) => name ?? '');
        for (const name of interfaces) expect(name.length).toBeLessThan(16);
      }
    }),
    { numRuns: 500 },
  );
});

test.each(['cni0', 'br-1a2b3c', 'cali+', 'eth0.100', 'bond0:1', 'a23456789012345', '_x', 'a@b'])(
  'the bridge %s is one that iptables takes',
  (name) => {
    const found = rules({ detectLocalMode: 'BridgeInterface', 'detectLocal.bridgeInterface': name });
    expect(found?.some((line) => line.includes(` -i ${name} `))).toBe(true);
  },
);

describe('files that people reported', () => {
  const read = (name: string) => {
    const decoded = decodeConfiguration(readFileSync(join(__dirname, 'reported', name), 'utf8'), name);
    return { ...decoded, ...completeConfiguration(decoded.settings, { fromFile: true }) };
  };

  test('a blank in clusterCIDR is refused, as by kube-proxy', () => {
    expect(read('spacecidr.yaml').problems.map(({ path, what }) => `${path}: ${what}`)).toEqual([
      'clusterCIDR: " fd00::/48" is not a CIDR such as 10.244.0.0/16',
    ]);
  });

  test('merge keys are taken, as by kube-proxy', () => {
    const { configuration, problems, settings, warnings } = read('config-merge-key.yaml');
    expect(problems).toEqual([]);
    expect(configuration).toMatchObject({ syncPeriodMs: 45_000, minSyncPeriodMs: 2000, masqueradeBit: 15 });
    expect(settings).toMatchObject({ 'ipvs.syncPeriod': 45_000 });
    expect(warnings.map(printFinding)).toEqual([
      'config-merge-key.yaml:4: x-defaults: there is no such field, so it is ignored',
    ]);
  });
});
