import { effectiveConfiguration } from '../../src/config/effective';
import type { FlagSettings } from '../../src/config/effective';

const head = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n';
const noFlags: FlagSettings = {
  configFile: '',
  master: '',
  settings: {},
  names: {},
  precedence: 'file',
  mayBreakRules: false,
};

/** The file is `c.yaml`. */
function effective(flags: Partial<FlagSettings>, body?: string) {
  const files = new Map(body === undefined ? [] : [['c.yaml', head + body]]);
  const readFile = (path: string): Promise<string> => {
    const text = files.get(path);
    return text === undefined ? Promise.reject(new Error(`${path}: no such file`)) : Promise.resolve(text);
  };
  const configFile = body === undefined ? '' : 'c.yaml';
  return effectiveConfiguration({ ...noFlags, configFile, ...flags }, readFile);
}

test('flags alone', async () => {
  const { configuration, warnings } = await effective({ master: 'http://a', settings: { clusterCIDR: '10.0.0.0/8' } });
  expect(configuration).toMatchObject({ master: 'http://a', clusterCIDRs: ['10.0.0.0/8'] });
  expect(warnings).toEqual([]);
});

test("the file is the daemon's word on all but the host name and the log", async () => {
  const { configuration, warnings } = await effective(
    {
      master: 'http://a',
      settings: { hostnameOverride: 'n', 'logging.verbosity': 5, clusterCIDR: '11.0.0.0/8', bindAddress: '::' },
      names: { hostnameOverride: '--hostname-override', clusterCIDR: '--cluster-cidr', bindAddress: '--bind-address' },
    },
    'hostnameOverride: m\nclusterCIDR: 10.0.0.0/8\nlogging: {verbosity: 1, format: json}\n',
  );
  expect(configuration).toMatchObject({
    hostnameOverride: 'n',
    master: 'http://a',
    bindAddress: '0.0.0.0',
    clusterCIDRs: ['10.0.0.0/8'],
    logging: { verbosity: 5, format: 'json' },
  });
  expect(warnings).toEqual([
    'these flags are ignored, because --config sets their fields: --cluster-cidr, --bind-address',
  ]);
});

test('flags win over the file where a command says so', async () => {
  const { configuration, warnings } = await effective(
    { precedence: 'flags', settings: { clusterCIDR: '11.0.0.0/8' } },
    'clusterCIDR: 10.0.0.0/8\niptables: {masqueradeAll: true}',
  );
  expect(configuration).toMatchObject({ masqueradeAll: true, clusterCIDRs: ['11.0.0.0/8'] });
  expect(warnings).toEqual([]);
});

test('what has no effect yet is named in one warning', async () => {
  const body = `
enableProfiling: true
ipvs: {scheduler: lc, excludeCIDRs: [10.0.0.0/8]}
logging: {vmodule: [{filePattern: x, verbosity: 9}]}
featureGates: {AllowServiceExternalIPs: true, NFTablesProxyMode: true, ComponentFlagz: false, AllowServiceExternalIP: false}
clientConnection: {qps: 50}
winkernel: {sourceVip: 10.0.0.1, enableDSR: false}
iptables: {masqueradeBit: 7}
`;
  expect((await effective({}, body)).warnings).toEqual([
    'accepted, but without effect in vipwire: clientConnection.qps, logging.vmodule, winkernel.sourceVip, featureGates ComponentFlagz, featureGates AllowServiceExternalIP (did you mean AllowServiceExternalIPs?)',
  ]);
});

test('what restates a default, or turns off what vipwire does not do, is no matter for a warning', async () => {
  const body = `
conntrack: {maxPerCore: 0, min: 131072, tcpEstablishedTimeout: 24h0m0s, tcpCloseWaitTimeout: 0s}
oomScoreAdj: -999
ipvs: {syncPeriod: 30s, excludeCIDRs: []}
clientConnection: {qps: 5, burst: 10, contentType: application/json, acceptContentTypes: application/json}
logging: {flushFrequency: 5s, options: {text: {splitStream: false, infoBufferSize: "0"}}}
portRange: ""
`;
  expect((await effective({}, body)).warnings).toEqual([]);
});

describe('a mistake is one line', () => {
  test.each<[string, Partial<FlagSettings>, string | undefined, string]>([
    [
      'of the file',
      {},
      'mode: userspace\noomScoreAdj: 5000',
      'c.yaml:3: mode: kube-proxy removed userspace in 1.26: use iptables, ipvs or nftables; c.yaml:4: oomScoreAdj: 5000 is not between -1000 and 1000',
    ],
    [
      'of a flag, by its name',
      { settings: { clusterCIDR: 'x' }, names: { clusterCIDR: '--cluster-cidr' } },
      undefined,
      '--cluster-cidr: "x" is not a CIDR such as 10.244.0.0/16',
    ],
    ['of a path', { configFile: 'd.yaml' }, '', '--config: d.yaml: no such file'],
  ])('%s', async (_, flags, body, message) => {
    await expect(effective(flags, body)).rejects.toMatchObject({ name: 'UserError', message });
  });

  test('that a clean-up does not mind', async () => {
    const { configuration } = await effective({ mayBreakRules: true }, 'mode: userspace\nlogging: {verbosity: 4}');
    expect(configuration.logging.verbosity).toBe(4);
  });
});

test("flags that are named after iptables mode set nftables mode's fields, by the file's mode too", async () => {
  const settings = {
    'iptables.masqueradeAll': true,
    'iptables.syncPeriod': 40_000,
    'iptables.masqueradeBit': 5,
  } as const;
  const names = { 'iptables.syncPeriod': '--iptables-sync-period' } as const;
  const expected = { masqueradeAll: true, syncPeriodMs: 40_000, masqueradeBit: 14, nodePortAddresses: ['primary'] };
  const alone = await effective({ settings: { ...settings, mode: 'nftables' }, names });
  expect(alone.configuration).toMatchObject(expected);
  expect(alone.settings).toHaveProperty(['nftables.syncPeriod'], 40_000);
  const beside = await effective({ precedence: 'flags', settings, names }, 'mode: nftables');
  expect(beside.configuration).toMatchObject(expected);
  const wrong = effective({ settings: { mode: 'nftables', 'iptables.syncPeriod': -1000 }, names });
  await expect(wrong).rejects.toThrow('--iptables-sync-period: -1s must be more than 0');
});
