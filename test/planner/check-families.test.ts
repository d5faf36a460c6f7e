import type { Family } from '../../src/model/address';
import { checkFamilies } from '../../src/planner/check-families';
import { makeNode } from '../support/cluster-objects';

type Config = Parameters<typeof checkFamilies>[0];
const plain: Config = {
  bindAddress: '0.0.0.0',
  detectLocalMode: 'ClusterCIDR',
  clusterCIDRs: [],
  nodePortAddresses: [],
};
const both: readonly Family[] = ['IPv4', 'IPv6'];

/** `fatal: ` or `warning: ` before each. */
function found(config: Partial<Config>, of: Parameters<typeof makeNode>[0], supported = both): string[] {
  return checkFamilies({ ...plain, ...config }, makeNode(of), supported).map(
    ({ isFatal, message }) => `${isFatal ? 'fatal' : 'warning'}: ${message}`,
  );
}

const v4 = { addresses: ['192.168.88.10'] };
const v6 = { addresses: ['fd88::10', '192.168.88.10'] };

test.each<[string, Partial<Config>, Parameters<typeof makeNode>[0], readonly Family[], string[]]>([
  ['nothing said', {}, {}, both, []],
  ['both families', { clusterCIDRs: ['10.0.0.0/8', 'fd00::/8'] }, v6, both, []],
  ['the primary one alone', { clusterCIDRs: ['fd00::/8'] }, v6, both, []],
  [
    'clusterCIDR of the other family, on a machine of both',
    { clusterCIDRs: ['fd00::/8'] },
    v4,
    both,
    ["warning: clusterCIDR: only IPv6 addresses, but the node's primary family is IPv4"],
  ],
  [
    'the same on a machine of one',
    { clusterCIDRs: ['fd00::/8'] },
    v4,
    ['IPv4'],
    ["fatal: clusterCIDR: only IPv6 addresses, but the node's only family is IPv4"],
  ],
  ['where it does not count', { detectLocalMode: 'NodeCIDR', clusterCIDRs: ['fd00::/8'] }, v4, ['IPv4'], []],
  [
    'podCIDRs of the other family',
    { detectLocalMode: 'NodeCIDR' },
    { ...v6, podCIDRs: ['10.244.1.0/24'] },
    both,
    ["fatal: the Node's podCIDRs: only IPv4 addresses, but the node's primary family is IPv6"],
  ],
  [
    'nodePortAddresses of the other family',
    { nodePortAddresses: ['fd88::/64'] },
    v4,
    both,
    ["warning: nodePortAddresses: only IPv6 addresses, but the node's primary family is IPv4"],
  ],
  ['primary', { nodePortAddresses: ['primary'] }, v4, both, []],
  [
    'a primary family that the machine has not',
    {},
    v6,
    ['IPv4'],
    ["fatal: the node's primary family is IPv6, but this machine has iptables only for IPv4"],
  ],
  ['bindAddress decides it', { bindAddress: '192.168.88.10' }, v6, ['IPv4'], []],
])('%s', (_what, config, of, supported, problems) => {
  expect(found(config, of, supported)).toEqual(problems);
});
