import { nearestName } from '../../src/model/nearest-name';

const names = ['iptables', 'ipvs', 'proxy-mode', 'cluster-cidr', 'masquerade-all'];

test.each([
  ['iptabels', 'iptables'],
  ['IPVS', 'ipvs'],
  ['proxymode', 'proxy-mode'],
  ['cluster-cdir', 'cluster-cidr'],
  ['masquerade', undefined],
  ['masquerade-al', 'masquerade-all'],
  ['ip', undefined],
  ['', undefined],
  ['quite-another', undefined],
])('%s is nearest to %s', (given, name) => {
  expect(nearestName(given, names)).toBe(name);
});
