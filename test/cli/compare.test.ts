import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Recording, readRecordings } from '../compare/recordings';
import type { TracedMode } from '../../src/trace/rules-kind';
import { Bundle, type Ended } from './bundle';

let bundle: Bundle;
beforeAll(() => {
  bundle = Bundle.make();
});
afterAll(() => bundle.remove());

function recordingOf(mode: TracedMode, name: string): Recording {
  const recording = readRecordings(mode).find((one) => one.name === name);
  if (recording === undefined) throw new Error(`no recording ${name}`);
  return recording;
}

/** A folder such as one of a support case: the output of the tools, and the cluster. */
function unpack(recording: Recording, edit: (iptablesSave: string) => string = (text) => text): string {
  const { name, objects, iptablesSave, ip6tablesSave, ipvsadm, ipset, addresses, nft } = recording;
  const folder = join(bundle.folder, `${name}-${Math.random()}`);
  mkdirSync(folder);
  const files = {
    'objects.json': objects,
    'iptables-save': iptablesSave && edit(iptablesSave),
    'ip6tables-save': ip6tablesSave,
    ipvsadm,
    ipset,
    'ipvs-addresses': addresses,
    'nft.json': nft,
  };
  for (const [file, text] of Object.entries(files)) if (text !== undefined) writeFileSync(join(folder, file), text);
  return folder;
}

function compare(folder: string, ...args: readonly string[]): Promise<Ended> {
  const cluster = ['-f', join(folder, 'objects.json'), '--node', 'node', '--cluster-cidr', '10.244.0.0/16,fd44::/16'];
  return bundle.run(['compare', ...cluster, ...args]);
}

test.each([
  ['iptables', 'dual-stack.1'],
  ['nftables', 'dual-stack.1'],
] as const)('%s: the same, in both families', async (mode, name) => {
  const folder = unpack(recordingOf(mode, name));
  expect(await compare(folder, '--recorded-dir', folder)).toEqual({
    code: 0,
    stdout: `IPv4, node node, ${mode} mode: 1 service, 1 frontend: the same\n\nIPv6, node node, ${mode} mode: 1 service, 1 frontend: the same\n`,
    stderr: '',
  });
});

test('ipvs: what is known and wanted is told apart', async () => {
  const folder = unpack(recordingOf('ipvs', 'nodeport-local.2'));
  const file = (name: string): string => join(folder, name);
  const rules = ['--iptables-save', `${file('iptables-save')},${file('ip6tables-save')}`];
  const { code, stdout } = await compare(folder, '--ipvsadm', file('ipvsadm'), '--ipset', file('ipset'), ...rules);
  expect(stdout).toMatch(/^IPv4.* the same; known and intended differences below\n/);
  expect(stdout).toContain('kubernetes #71596');
  expect(code).toBe(0);
  const without = await compare(folder, '--ipvsadm', file('ipvsadm'), '--ipset', file('ipset'));
  expect(without.stdout).toContain('not compared: masquerading');
});

test('differences, for people and for programs', async () => {
  const folder = unpack(recordingOf('iptables', 'source-ranges.1'), (text) =>
    text
      .replace('--to-destination 10.244.1.3:8080', '--to-destination 10.244.1.9:8080')
      .replace('192.168.88.100', '192.168.88.101'),
  );
  const file = ['--iptables-save', join(folder, 'iptables-save')];
  const { code, stdout } = await compare(folder, ...file);
  expect(stdout).toContain(`
default/web
  ClusterIP 10.96.0.10:80/tcp
    endpoint missing  10.244.1.3:8080 should get 33.3 %
    endpoint extra    10.244.1.9:8080 gets 33.3 %
  LoadBalancer 203.0.113.5:80/tcp
    source ranges missing  dropped, should be let in  from 192.168.88.100/32
`);
  expect(code).toBe(1);
  const json = await compare(folder, ...file, '--output', 'json');
  expect(JSON.parse(json.stdout)).toMatchObject([
    {
      family: 'IPv4',
      mode: 'iptables',
      differences: expect.arrayContaining([
        expect.objectContaining({
          service: 'default/web',
          frontend: 'LoadBalancer 203.0.113.5:80/tcp',
          aspect: 'source ranges',
          change: 'missing',
          from: ['192.168.88.100/32'],
        }),
      ]) as unknown,
    },
  ]);
});

test('a rule that is not understood: could not tell', async () => {
  const folder = unpack(recordingOf('iptables', 'nodeport.1'), (text) =>
    text.replace(/^-A KUBE-EXT-(\S+) -j KUBE-SVC/m, '-A KUBE-EXT-$1 -m time --timestart 09:00 -j KUBE-SVC'),
  );
  const { code, stdout } = await compare(folder, '--iptables-save', join(folder, 'iptables-save'));
  expect(stdout).toMatch(/no difference seen; 2 could not be compared/);
  expect(stdout).toMatch(/NodePort .* nat KUBE-EXT-\S+ -m time/);
  expect(code).toBe(2);
});

test.each([
  ['no file', ['--iptables-save', '/nowhere'], /--iptables-save: .*nowhere/],
  ['no rules of a proxy', ['--iptables-save', '/dev/null'], /no chain KUBE-SERVICES/],
  ['sets are missing', ['--ipvsadm', '/dev/null'], /ipset save is needed/],
  ['no JSON', ['--nft', '/dev/null'], /not the JSON of nft/],
  ['an empty folder', ['--recorded-dir', '/proc/self/fd'], /has none of iptables-save/],
  ['no folder', ['--recorded-dir', '/dev/null'], /--recorded-dir: ENOTDIR/],
  ['no address', ['--node-addresses', 'here'], /"here" is not an IP address/],
  ['no tools here', [], /no rules of a service proxy here/],
])('%s: one line, exit 2', async (_, args, message) => {
  const { code, stdout, stderr } = await compare(unpack(recordingOf('iptables', 'nodeport.1')), ...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr.split('\n').filter((line) => line.startsWith('vipwire: '))).toEqual([expect.stringMatching(message)]);
});
