import { decodeConfiguration } from '../../src/config/decode';
import { printFinding } from '../../src/config/finding';
import { UserError } from '../../src/model/user-error';

const head = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n';
const decode = (body: string) => decodeConfiguration(head + body, 'c.yaml');
const said = (body: string) => {
  const { settings, warnings, problems } = decode(body);
  return { settings, warnings: warnings.map(printFinding), problems: problems.map(printFinding) };
};
const refusal = (text: string): string => {
  try {
    decodeConfiguration(text, 'c.yaml');
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as Error).message;
  }
  throw new Error('it was accepted');
};

describe('a field in the file', () => {
  test.each([
    ['clientConnection: {kubeconfig: /etc/k}', { 'clientConnection.kubeconfig': '/etc/k' }],
    ['hostnameOverride: node-1', { hostnameOverride: 'node-1' }],
    ['bindAddress: "::"', { bindAddress: '::' }],
    ['healthzBindAddress: 0.0.0.0:10256', { healthzBindAddress: '0.0.0.0:10256' }],
    ['bindAddressHardFail: true', { bindAddressHardFail: true }],
    ['bindAddressHardFail: yes', { bindAddressHardFail: true }],
    ['iptables: {masqueradeBit: 0}', { 'iptables.masqueradeBit': 0 }],
    ['iptables: {localhostNodePorts: false}', { 'iptables.localhostNodePorts': false }],
    ['iptables: {syncPeriod: 1h30m, minSyncPeriod: 100ms}', syncPeriods(5_400_000, 100)],
    ['detectLocal: {bridgeInterface: cni0}', { 'detectLocal.bridgeInterface': 'cni0' }],
    ['nodePortAddresses: [10.0.0.0/8, "fd00::/8"]', { nodePortAddresses: ['10.0.0.0/8', 'fd00::/8'] }],
    ['clientConnection: {qps: 2.5}', { 'clientConnection.qps': 2.5 }],
    ['featureGates: {AllowServiceExternalIPs: false}', { featureGates: { AllowServiceExternalIPs: false } }],
    ['logging: {format: json, verbosity: 4, flushFrequency: 5000000000}', logging('json', 4, 5000)],
    ['a: &x {kubeconfig: /k}\nclientConnection: *x', { 'clientConnection.kubeconfig': '/k' }],
  ])('%s', (body, settings) => {
    expect(decode(body).settings).toEqual(settings);
  });

  test.each([
    'iptables: {syncPeriod: 0s, minSyncPeriod: 0s, masqueradeBit: null, localhostNodePorts: null}',
    'healthzBindAddress: ""',
    'mode: ""',
    'configSyncPeriod: 0s',
    'iptables: null',
    'nodePortAddresses: null',
    'nodePortAddresses: []',
    'mode: ipvs\nmode: null',
  ])('%s is the default', (body) => {
    expect(decode(body).settings).toEqual({});
  });
});

function syncPeriods(sync: number, min: number) {
  return { 'iptables.syncPeriod': sync, 'iptables.minSyncPeriod': min };
}
function logging(format: string, verbosity: number, flush: number) {
  return { 'logging.format': format, 'logging.verbosity': verbosity, 'logging.flushFrequency': flush };
}

describe('a wrong type is refused with line and field', () => {
  test.each([
    ['iptables:\n  masqueradeBit: "14"', 'c.yaml:4: iptables.masqueradeBit: want a whole number, found "14"'],
    ['iptables:\n  masqueradeBit: 1.5', 'c.yaml:4: iptables.masqueradeBit: want a whole number, found 1.5'],
    ['bindAddressHardFail: "true"', 'c.yaml:3: bindAddressHardFail: want true or false, found "true"'],
    ['mode: 7', 'c.yaml:3: mode: want text, found 7'],
    ['mode: [iptables]', 'c.yaml:3: mode: want text, found a list'],
    ['iptables: fast', 'c.yaml:3: iptables: want fields, found "fast"'],
    ['nodePortAddresses: 10.0.0.0/8', 'c.yaml:3: nodePortAddresses: want a list of texts, found "10.0.0.0/8"'],
    ['nodePortAddresses:\n- primary\n- {}', 'c.yaml:4: nodePortAddresses: want a list of texts, found a list'],
    [
      'iptables:\n  syncPeriod: 30',
      'c.yaml:4: iptables.syncPeriod: want a duration such as 30s, 1h30m or 100ms, found 30',
    ],
    [
      'featureGates: {A: 1}',
      'c.yaml:3: featureGates: want names with true or false, such as A=true,B=false, found fields',
    ],
  ])('%j', (body, message) => {
    expect(said(body).problems).toEqual([message]);
  });

  test('all of them at once', () => {
    expect(said('mode: 7\nbindAddress: 8').problems).toHaveLength(2);
  });
});

describe('a document that is none of ours is refused in one line', () => {
  test.each([
    ['', 'c.yaml: the file is empty'],
    ['# nothing\n', 'c.yaml: the file is empty'],
    ['- a', 'c.yaml:1: the document is not a KubeProxyConfiguration'],
    ['mode: iptables', /^c.yaml:1: want apiVersion kubeproxy.config.k8s.io\/v1alpha1, kind .*; found "none" "none"$/],
    ['apiVersion: v1\nkind: ConfigMap', /found "v1" "ConfigMap"$/],
    [`${head}mode: "ipt`, /^c.yaml:3: Missing closing "quote$/],
    [`${head}iptables:\n\t- x`, /^c.yaml:4: Tabs/],
    ['{"apiVersion": ', /^c.yaml:1: /],
  ])('%j', (text, message) => {
    const found = refusal(text);
    expect(found).toMatch(message);
    expect(found).not.toContain('\n');
  });
});

describe('decoding goes on after', () => {
  test.each([
    [
      'an unknown field',
      'iptable: {}\nmode: x',
      'c.yaml:3: iptable: there is no such field, so it is ignored: did you mean iptables?',
    ],
    [
      'an unknown field in a block',
      'iptables:\n  masqueradBit: 1\nmode: x',
      'c.yaml:4: iptables.masqueradBit: there is no such field, so it is ignored: did you mean iptables.masqueradeBit?',
    ],
    [
      'a field in the wrong block',
      'masqueradeAll: true\nmode: x',
      'c.yaml:3: masqueradeAll: there is no such field, so it is ignored: did you mean iptables.masqueradeAll or nftables.masqueradeAll?',
    ],
    ['an unknown word', 'frobnicate: true\nmode: x', 'c.yaml:3: frobnicate: there is no such field, so it is ignored'],
    ['a doubled field', 'mode: w\nmode: x', 'c.yaml:4: mode: is given twice: the last one counts'],
    [
      'a doubled block, of which the last counts as a whole',
      'ipvs: {scheduler: lc}\nipvs: {}\nmode: x',
      'c.yaml:4: ipvs: is given twice: the last one counts',
    ],
    ['a second document', 'mode: x\n---\nmode: w', 'c.yaml: only the first of 2 documents counts'],
  ])('%s, with a warning', (_, body, warning) => {
    expect(said(body)).toEqual({ settings: { mode: 'x' }, warnings: [warning], problems: [] });
  });
});

test('JSON is read, tabs and all', () => {
  const text = JSON.stringify(
    {
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      iptables: { masqueradeAll: true },
      conntrack: { maxPerCore: 0 },
    },
    undefined,
    '\t',
  );
  expect(decodeConfiguration(text, 'c.json')).toMatchObject({
    settings: { 'iptables.masqueradeAll': true, 'conntrack.maxPerCore': 0 },
    warnings: [],
  });
});

test('a leading document marker is no second document', () => {
  expect(decodeConfiguration(`---\n${head}mode: x\n`, 'c.yaml')).toMatchObject({
    settings: { mode: 'x' },
    warnings: [],
  });
});
