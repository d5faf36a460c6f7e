/** Every line of what kube-proxy wrote for a Service: without it, and with another in its place, the comparison says so. */
import { comparePlan } from '../../src/compare/compare-plan';
import { type KernelTexts, parseKernel } from '../../src/compare/parse-kernel';
import type { Plan } from '../../src/planner/plan';
import { planRecording, readRecordings, textsOf } from './recordings';

function isFound(plan: Plan, texts: KernelTexts): boolean {
  const parsed = parseKernel(texts, plan);
  if (parsed === undefined) return true;
  const { differences, undecided } = comparePlan(plan, parsed.kernel, parsed);
  return undecided.length > 0 || differences.some(({ known }) => known === undefined);
}

/** Rules that no Service of a recording is the worse without. */
const idle = [
  // They matter under a policy of DROP, or say nothing about a Service.
  /KUBE-FORWARD/,
  /KUBE-FIREWALL/,
  /--ctstate INVALID/,
  /-A KUBE-POSTROUTING -j MARK/,
  /^-A KUBE-FW-\S+ -m comment --comment "other traffic/,
  // The rule behind it serves 127.0.0.1 too, uncounted.
  /localhost_nps_accepted_pkts/,
  // No connection in these clusters reaches it.
  /^-A (INPUT|FORWARD|OUTPUT) .*-j (KUBE-EXTERNAL-SERVICES|KUBE-NODEPORTS|KUBE-SERVICES|KUBE-PROXY-FIREWALL)$/,
];

/** Of these every rule counts. */
const busy = [
  'affinity.2',
  'dual-stack.1',
  'external-ips.1',
  'loadbalancer-local.1',
  'nodeport-local.1',
  'multi-port.1',
];

const substitutions: readonly (readonly [string, RegExp, string])[] = [
  ['another endpoint', /(--to-destination \S+):(\d+)/, '$1:9'],
  ['another share', /--probability 0\.\d+/, '--probability 0.20000000000'],
  ['another time', /--seconds \d+/, '--seconds 7'],
  ['another list', /-j KUBE-SVL-/, '-j KUBE-SVC-'],
  ['another address', /-d (10\.96\.\d+)\.\d+\/32/, '-d $1.77/32'],
  ['another port', /--dport (\d+)/, '--dport 9'],
  ['another network of pods', /-s 10\.244\.0\.0\/16/, '-s 10.200.0.0/16'],
  ['a rule that nobody knows', /-j (KUBE-S\S+|DNAT)/, '-m owner --uid-owner 0 -j $1'],
];

describe('iptables', () => {
  const recordings = readRecordings('iptables').filter(({ name }) => busy.includes(name));
  const cases = recordings.map((recording) => [recording.name, recording] as const);

  test.each(cases)('%s: without a rule', (_, recording) => {
    const plan = planRecording(recording, 'iptables', 'IPv4');
    const lines = textsOf(recording, 'iptables', 'IPv4').iptablesSave?.split('\n') ?? [];
    const hasNodePort = [...plan.services.values()].some(({ ports }) =>
      ports.some(({ frontends }) => frontends.some(({ kind }) => kind === 'NodePort')),
    );
    const counts = (line: string): boolean =>
      line.startsWith('-A ') &&
      !idle.some((pattern) => pattern.test(line)) &&
      (hasNodePort || !line.endsWith('-j KUBE-NODEPORTS'));
    const missed = lines.filter(
      (line, i) => counts(line) && !isFound(plan, { iptablesSave: lines.filter((_line, at) => at !== i).join('\n') }),
    );
    expect(missed).toEqual([]);
    expect(lines.filter(counts).length).toBeGreaterThan(8);
  });

  test.each(substitutions)('%s', (_, pattern, text) => {
    let tried = 0;
    const missed: string[] = [];
    for (const recording of recordings) {
      const plan = planRecording(recording, 'iptables', 'IPv4');
      const lines = textsOf(recording, 'iptables', 'IPv4').iptablesSave?.split('\n') ?? [];
      for (const [i, line] of lines.entries()) {
        if (!pattern.test(line) || idle.some((one) => one.test(line))) continue;
        const changed = lines.with(i, line.replace(pattern, text));
        tried++;
        if (!isFound(plan, { iptablesSave: changed.join('\n') })) missed.push(`${recording.name}: ${changed[i] ?? ''}`);
      }
    }
    expect(missed).toEqual([]);
    expect(tried).toBeGreaterThan(1);
  });
});

describe('ipvs', () => {
  const cases = readRecordings('ipvs')
    .filter(({ name }) => ['external-ips.1', 'nodeport.1', 'source-ranges.1', 'affinity.2'].includes(name))
    .map((recording) => [recording.name, recording] as const);

  test.each(cases)('%s: without a line, or with another', (_, recording) => {
    const plan = planRecording(recording, 'ipvs', 'IPv4');
    const texts = textsOf(recording, 'ipvs', 'IPv4');
    const missed: string[] = [];
    const lines = texts.ipvsadm?.split('\n').filter((line) => line !== '') ?? [];
    for (const [i, line] of lines.entries()) {
      const others = [
        undefined,
        line.replace(/:(\d+)( |$)/, ':9$2'),
        line.replace('-w 1', '-w 0'),
        line.replace(/-p \d+/, '-p 7'),
      ];
      for (const other of others) {
        if (other === line) continue;
        const ipvsadm = lines.flatMap((one, at) => (at === i ? (other ?? []) : one)).join('\n');
        if (!isFound(plan, { ...texts, ipvsadm })) missed.push(`${line} -> ${other ?? 'gone'}`);
      }
    }
    const sets = texts.ipset?.split('\n') ?? [];
    for (const [i, line] of sets.entries()) {
      // Of kube-ipvs0's addresses the device itself tells.
      if (!/^add KUBE-(?!6-|IPVS-IPS)/.test(line)) continue;
      if (!isFound(plan, { ...texts, ipset: sets.filter((_line, at) => at !== i).join('\n') })) missed.push(line);
    }
    expect(missed).toEqual([]);
    expect(isFound(plan, { ...texts, addresses: '' })).toBe(true);
    expect(isFound(plan, { ...texts, ipvsadm: `${texts.ipvsadm ?? ''}-A -t 10.96.0.99:80 -s rr\n` })).toBe(true);
  });
});

interface Entry {
  readonly [kind: string]: { readonly family?: string; readonly name?: string; readonly elem?: readonly unknown[] };
}

describe('nftables', () => {
  const cases = readRecordings('nftables')
    .filter(({ name }) => ['external-ips.1', 'nodeport-local.1', 'source-ranges.1', 'no-endpoints.1'].includes(name))
    .map((recording) => [recording.name, recording] as const);

  test.each(cases)('%s: without an element, or a rule of a Service', (_, recording) => {
    const plan = planRecording(recording, 'nftables', 'IPv4');
    const { nftables } = JSON.parse(recording.nft ?? '') as { nftables: readonly Entry[] };
    const missed: string[] = [];
    let tried = 0;
    const attempt = (i: number, others: readonly Entry[]): void => {
      tried++;
      if (
        !isFound(plan, { nft: JSON.stringify({ nftables: nftables.flatMap((one, at) => (at === i ? others : one)) }) })
      )
        missed.push(JSON.stringify(nftables[i]));
    };
    for (const [i, entry] of nftables.entries()) {
      const [kind = '', object] = Object.entries(entry)[0] ?? [];
      if (object?.family !== 'ip') continue;
      const { elem = [], name } = object;
      if (name !== 'cluster-ips' && name !== 'nodeport-ips')
        for (const one of elem) attempt(i, [{ [kind]: { ...object, elem: elem.filter((other) => other !== one) } }]);
      if (kind === 'rule' && /"(service|local|external|firewall)-[A-Z2-7]{8}-/.test(JSON.stringify(entry)))
        attempt(i, []);
    }
    expect(missed).toEqual([]);
    expect(tried).toBeGreaterThan(3);
  });
});

test("others' virtual servers on excluded CIDRs are left alone", () => {
  const recording = readRecordings('ipvs').find(({ name }) => name === 'nodeport.1');
  if (recording === undefined) throw new Error('no recording');
  const plan = planRecording(recording, 'ipvs', 'IPv4');
  const texts = textsOf(recording, 'ipvs', 'IPv4');
  const parsed = parseKernel({ ...texts, ipvsadm: `${texts.ipvsadm ?? ''}-A -t 198.51.100.9:80 -s rr\n` }, plan);
  if (parsed === undefined) throw new Error('nothing was parsed');
  const compare = (excludeCIDRs: readonly string[]): unknown =>
    comparePlan(plan, parsed.kernel, { ...parsed, excludeCIDRs }).differences.map(({ frontend }) => frontend);
  expect(compare([])).toEqual(['198.51.100.9:80/tcp']);
  expect(compare(['198.51.100.0/24'])).toEqual([]);
});
