/** The settings of planner, backends and daemon for tests. A test gives the fields that matter to it; the others have usual values. */
import type { IptablesSettings } from '../../src/backends/iptables/settings';
import type { IpvsSettings } from '../../src/backends/ipvs/settings';
import { completeConfiguration } from '../../src/config/complete';
import type { ProxyConfiguration } from '../../src/config/configuration';
import type { Scheduler } from '../../src/model/scheduler';
import type { NodeSettings } from '../../src/planner/plan';

/** Settings for a kernel that has every match but xt_nfacct. */
export const iptablesSettings: IptablesSettings = {
  masqueradeMark: 0x4000,
  dropInvalid: true,
  hasBpf: true,
  hasRecent: true,
  hasSctp: true,
  hasNfacct: false,
};

/** Settings for a kernel that has every scheduler, and sets with marks. */
export const ipvsSettings: IpvsSettings = {
  masqueradeMark: 0x4000,
  scheduler: 'rr' as Scheduler,
  hasScheduler: () => true,
  hasSetMarks: true,
};

/** Pods have addresses of 10.244.0.0/16 and fd44::/16. */
export const podDetector: NodeSettings['localDetector'] = {
  IPv4: { kind: 'cidr', cidr: '10.244.0.0/16' },
  IPv6: { kind: 'cidr', cidr: 'fd44::/16' },
};

/** The settings of `node` in zone z1, without a local detector. */
export function makeSettings(fields: Partial<NodeSettings> = {}): NodeSettings {
  return {
    nodeName: 'node',
    zone: 'z1',
    nodeIPs: { IPv4: '192.168.88.10', IPv6: 'fd88::10' },
    masqueradeAll: false,
    localDetector: { IPv4: { kind: 'none' }, IPv6: { kind: 'none' } },
    nodePortAddresses: { IPv4: { kind: 'all' }, IPv6: { kind: 'all' } },
    localhostNodePorts: true,
    allowServiceExternalIPs: true,
    ...fields,
  };
}

/** The default configuration with these fields. */
export function makeConfiguration(fields: Partial<ProxyConfiguration> = {}): ProxyConfiguration {
  return { ...completeConfiguration({}).configuration, ...fields };
}
