import type { FlagSettings } from '../../src/config/effective';
import { configureAs } from '../../src/inspect/kernel-node';
import { kindOfNftTable, rulesKinds } from '../../src/trace/rules-kind';

const flags: FlagSettings = {
  configFile: '',
  master: '',
  settings: {},
  names: {},
  precedence: 'flags',
  mayBreakRules: false,
};

test.each([
  ['iptables', rulesKinds.iptables, [], true],
  ['ipvs', rulesKinds.ipvs, [], false],
  ['our nftables', kindOfNftTable(['cluster-ips', 'vipwire-vips']), ['primary'], true],
  // kube-proxy's, like those of IPVS mode, cannot serve NodePorts on localhost, whatever the configuration says.
  ["kube-proxy's nftables", kindOfNftTable(['cluster-ips', 'service-ips']), ['primary'], false],
] as const)(
  'rules of %s: where NodePorts answer by default',
  async (_, kind, nodePortAddresses, localhostNodePorts) => {
    const { configuration } = await configureAs(kind, flags);
    expect(configuration).toMatchObject({ nodePortAddresses, localhostNodePorts });
  },
);

test('addresses that are configured count', async () => {
  const settings = { nodePortAddresses: ['10.0.0.0/8'] };
  const { configuration } = await configureAs(rulesKinds.nftables, { ...flags, settings });
  expect(configuration.nodePortAddresses).toEqual(['10.0.0.0/8']);
});

test('the mode is that of the rules, whatever the flags say', async () => {
  const { configuration } = await configureAs(rulesKinds.ipvs, { ...flags, settings: { mode: 'iptables' } });
  expect(configuration.mode).toBe('ipvs');
});
