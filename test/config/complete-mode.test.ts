/** What is set in the section of one mode, as kube-proxy 1.36.2 takes it. */
import { Checks } from '../../src/config/checks';
import { completeModeSettings, fieldOfFlag } from '../../src/config/complete-mode';
import type { FieldPath, Settings } from '../../src/config/fields';

function completed(mode: 'iptables' | 'ipvs' | 'nftables', settings: Settings) {
  const checks = new Checks(settings, (path) => path);
  return {
    ...completeModeSettings(checks, mode),
    problems: checks.problems.map(({ path, what }) => `${path}: ${what}`),
  };
}

/** Something else in each section. */
const everywhere: Settings = {
  'iptables.masqueradeBit': 1,
  'iptables.masqueradeAll': true,
  'iptables.syncPeriod': 11_000,
  'iptables.minSyncPeriod': 1100,
  'ipvs.syncPeriod': 12_000,
  'ipvs.minSyncPeriod': 1200,
  'nftables.masqueradeBit': 3,
  'nftables.syncPeriod': 13_000,
  'nftables.minSyncPeriod': 1300,
};

test.each([
  ['iptables', { masqueradeBit: 1, masqueradeAll: true, syncPeriodMs: 11_000, minSyncPeriodMs: 1100 }, []],
  ['ipvs', { masqueradeBit: 1, masqueradeAll: true, syncPeriodMs: 12_000, minSyncPeriodMs: 1200 }, []],
  ['nftables', { masqueradeBit: 3, masqueradeAll: false, syncPeriodMs: 13_000, minSyncPeriodMs: 1300 }, ['primary']],
] as const)('%s mode has its own section', (mode, expected, nodePortAddresses) => {
  expect(completed(mode, everywhere)).toEqual({ ...expected, nodePortAddresses, problems: [] });
});

test('nothing set, in nftables mode', () => {
  expect(completed('nftables', { nodePortAddresses: [] })).toEqual({
    masqueradeBit: 14,
    masqueradeAll: false,
    syncPeriodMs: 30_000,
    minSyncPeriodMs: 1000,
    nodePortAddresses: ['primary'],
    problems: [],
  });
});

test.each<[Settings, string[]]>([
  [{ 'nftables.masqueradeBit': 32 }, ['nftables.masqueradeBit: 32 is not between 0 and 31']],
  [{ 'nftables.syncPeriod': -1000 }, ['nftables.syncPeriod: -1s must be more than 0']],
  [{ 'nftables.minSyncPeriod': -1000 }, ['nftables.minSyncPeriod: -1s is negative']],
  [{ 'nftables.minSyncPeriod': 60_000 }, ['nftables.minSyncPeriod: 1m is more than nftables.syncPeriod, 30s']],
  [{ 'iptables.masqueradeBit': 77 }, ['iptables.masqueradeBit: 77 is not between 0 and 31']],
  [{ 'iptables.syncPeriod': -1, 'ipvs.syncPeriod': -1, 'nftables.masqueradeBit': 0 }, []],
])('%j, in nftables mode', (settings, problems) => {
  expect(completed('nftables', settings).problems).toEqual(problems);
});

test('in other modes the section of nftables mode is not looked at', () => {
  const settings = { 'nftables.masqueradeBit': 40, 'nftables.syncPeriod': -1, 'nftables.minSyncPeriod': -1 };
  expect(completed('iptables', settings).problems).toEqual([]);
  expect(completed('ipvs', settings).problems).toEqual([]);
});

test.each<[FieldPath, FieldPath]>([
  ['iptables.masqueradeAll', 'nftables.masqueradeAll'],
  ['iptables.syncPeriod', 'nftables.syncPeriod'],
  ['iptables.minSyncPeriod', 'nftables.minSyncPeriod'],
  ['iptables.masqueradeBit', 'iptables.masqueradeBit'],
  ['ipvs.syncPeriod', 'ipvs.syncPeriod'],
])('the flag of %s sets %s in nftables mode', (bound, path) => {
  expect(fieldOfFlag(bound, 'nftables')).toBe(path);
  for (const mode of [undefined, '', 'iptables', 'ipvs', 'NFTables']) expect(fieldOfFlag(bound, mode)).toBe(bound);
});
