import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { completeConfiguration } from '../../src/config/complete';
import type { ProxyConfiguration } from '../../src/config/configuration';
import { apiVersion, decodeConfiguration, kind } from '../../src/config/decode';
import { fieldAt, type FieldPath, fieldPaths, idleFields } from '../../src/config/fields';
import { printConfiguration } from '../../src/config/print';

type Effect = Partial<Record<keyof ProxyConfiguration, unknown>> | 'none';

/** What a file says, what else it has to say for that, and what comes of it. */
const table: Readonly<Record<FieldPath, readonly [value: unknown, effect: Effect, beside?: string]>> = {
  featureGates: [{ AllowServiceExternalIPs: false }, { allowServiceExternalIPs: false }],
  'clientConnection.kubeconfig': ['/k', { kubeconfig: '/k' }],
  'clientConnection.acceptContentTypes': ['application/vnd.kubernetes.protobuf', 'none'],
  'clientConnection.contentType': ['application/yaml', 'none'],
  'clientConnection.qps': [2.5, 'none'],
  'clientConnection.burst': [100, 'none'],
  hostnameOverride: ['node-1', { hostnameOverride: 'node-1' }],
  bindAddress: ['10.0.0.1', { bindAddress: '10.0.0.1' }],
  healthzBindAddress: ['127.0.0.1:1', { healthzBindAddress: { address: '127.0.0.1', port: 1 } }],
  metricsBindAddress: ['0.0.0.0:2', { metricsBindAddress: { address: '0.0.0.0', port: 2 } }],
  bindAddressHardFail: [true, { bindAddressHardFail: true }],
  enableProfiling: [true, { enableProfiling: true }],
  showHiddenMetricsForVersion: ['1.35', { showHiddenMetrics: true }],
  mode: ['ipvs', { mode: 'ipvs' }],
  'iptables.masqueradeBit': [0, { masqueradeBit: 0 }],
  'iptables.masqueradeAll': [true, { masqueradeAll: true }],
  'iptables.localhostNodePorts': [false, { localhostNodePorts: false }],
  'iptables.syncPeriod': ['1h30m', { syncPeriodMs: 5_400_000 }],
  'iptables.minSyncPeriod': ['5s', { minSyncPeriodMs: 5000 }],
  'ipvs.syncPeriod': ['10s', { syncPeriodMs: 10_000 }, 'mode: ipvs'],
  'ipvs.minSyncPeriod': ['100ms', { minSyncPeriodMs: 100 }, 'mode: ipvs'],
  'ipvs.scheduler': ['lc', ipvs({ scheduler: 'lc' }), 'mode: ipvs'],
  'ipvs.excludeCIDRs': [['10.0.0.0/8'], ipvs({ excludeCIDRs: ['10.0.0.0/8'] }), 'mode: ipvs'],
  'ipvs.strictARP': [true, ipvs({ strictARP: true }), 'mode: ipvs'],
  'ipvs.tcpTimeout': ['15m', ipvs({ tcpTimeoutSeconds: 900 }), 'mode: ipvs'],
  'ipvs.tcpFinTimeout': ['1m30s', ipvs({ tcpFinTimeoutSeconds: 90 }), 'mode: ipvs'],
  'ipvs.udpTimeout': ['5m', ipvs({ udpTimeoutSeconds: 300 }), 'mode: ipvs'],
  'nftables.masqueradeBit': [0, { masqueradeBit: 0 }, 'mode: nftables'],
  'nftables.masqueradeAll': [true, { masqueradeAll: true }, 'mode: nftables'],
  'nftables.syncPeriod': ['1m', { syncPeriodMs: 60_000 }, 'mode: nftables'],
  'nftables.minSyncPeriod': ['2s', { minSyncPeriodMs: 2000 }, 'mode: nftables'],
  detectLocalMode: ['NodeCIDR', { detectLocalMode: 'NodeCIDR' }],
  'detectLocal.bridgeInterface': ['cni0', { bridgeInterface: 'cni0' }],
  'detectLocal.interfaceNamePrefix': ['veth', { interfaceNamePrefix: 'veth' }],
  clusterCIDR: ['10.244.0.0/16,fd00::/48', { clusterCIDRs: ['10.244.0.0/16', 'fd00::/48'] }],
  nodePortAddresses: [['primary'], { nodePortAddresses: ['primary'] }],
  oomScoreAdj: [0, { oomScoreAdj: 0 }],
  'conntrack.maxPerCore': [0, conntrack({ maxPerCore: 0 })],
  'conntrack.min': [0, conntrack({ min: 0 })],
  'conntrack.tcpEstablishedTimeout': ['0s', conntrack({ tcpEstablishedTimeoutSeconds: 0 })],
  'conntrack.tcpCloseWaitTimeout': ['1m', conntrack({ tcpCloseWaitTimeoutSeconds: 60 })],
  'conntrack.tcpBeLiberal': [true, conntrack({ tcpBeLiberal: true })],
  'conntrack.udpTimeout': ['30s', conntrack({ udpTimeoutSeconds: 30 })],
  'conntrack.udpStreamTimeout': ['1m59.9s', conntrack({ udpStreamTimeoutSeconds: 119 })],
  configSyncPeriod: ['1m', 'none'],
  'logging.format': ['json', { logging: { format: 'json', verbosity: 0 } }],
  'logging.verbosity': [4, { logging: { format: 'text', verbosity: 4 } }],
  'logging.vmodule': [[{ filePattern: 'server', verbosity: 4 }], 'none'],
  'logging.flushFrequency': [1_000_000_000, 'none'],
  'logging.options.text.splitStream': [true, 'none', alphaLogging()],
  'logging.options.text.infoBufferSize': ['64Ki', 'none', alphaLogging()],
  'logging.options.json.splitStream': [true, 'none', alphaLogging()],
  'logging.options.json.infoBufferSize': ['1M', 'none', alphaLogging()],
  portRange: ['1-2', 'none'],
  windowsRunAsService: [true, 'none'],
  'winkernel.networkName': ['n', 'none'],
  'winkernel.sourceVip': ['10.0.0.1', 'none'],
  'winkernel.enableDSR': [true, 'none'],
  'winkernel.rootHnsEndpointName': ['e', 'none'],
  'winkernel.forwardHealthCheckVip': [true, 'none'],
};

function ipvs(part: Partial<Record<keyof ProxyConfiguration['ipvs'], unknown>>): Effect {
  return { ipvs: expect.objectContaining(part) as unknown };
}
function conntrack(part: Partial<ProxyConfiguration['conntrack']>): Effect {
  return { conntrack: expect.objectContaining(part) as unknown };
}
function alphaLogging(): string {
  return 'featureGates: {LoggingAlphaOptions: true}';
}

function read(text: string) {
  const { settings, warnings, problems } = decodeConfiguration(text, 'c');
  const completed = completeConfiguration(settings, { fromFile: true });
  expect([...warnings, ...problems, ...completed.problems]).toEqual([]);
  return { settings, configuration: completed.configuration };
}

const head = `apiVersion: ${apiVersion}\nkind: ${kind}\n`;
const nested = (path: string, value: unknown): string =>
  path
    .split('.')
    .reduceRight((inner, name) => `{"${name}": ${inner}}`, JSON.stringify(value))
    .slice(1, -1);

describe('every field', () => {
  test.each(Object.entries(table))('%s', (path, [value, effect, beside = '']) => {
    const field = path as FieldPath;
    const { settings, configuration } = read(`${head}${nested(path, value)}\n${beside}\n`);
    expect(field in settings).toBe(true);
    const before = read(`${head}${beside}\n`).configuration;
    if (effect === 'none') {
      expect(configuration).toEqual(before);
      expect(idleFields(settings)).toContain(field);
    } else {
      expect(configuration).toMatchObject(effect);
      expect(configuration).not.toEqual(before);
    }
  });

  test('is in the table', () => {
    expect(Object.keys(table)).toEqual(fieldPaths);
    for (const path of fieldPaths) expect(fieldAt(path).about).toMatch(/^\S.*[^.]$/);
  });
});

describe('what is written reads back', () => {
  const alone = Object.entries(table).map(([path, [value, , beside = '']]) => `${nested(path, value)}\n${beside}\n`);
  test.each(['', ...alone])('%j', (body) => {
    const { settings, configuration } = read(head + body);
    const text = printConfiguration(settings, configuration, true);
    const again = read(text);
    expect(again.configuration).toEqual(configuration);
    expect(printConfiguration(again.settings, again.configuration, true)).toBe(text);
  });

  test('where nothing is set, it is every default', () => {
    const { configuration } = completeConfiguration({});
    expect(printConfiguration({}, configuration, false)).toBe(readFileSync(join(__dirname, 'defaults.yaml'), 'utf8'));
  });
});
