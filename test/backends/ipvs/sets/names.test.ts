import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  bigSetName,
  ipPortElement,
  ipPortIpElement,
  ipPortNetElement,
  knownSets,
  markOptions,
  setName,
  setNames,
} from '../../../../src/backends/ipvs/sets/names';
import { SetParser } from '../../../../src/backends/ipvs/sets/ipset-text';
import { families, type Family, parseCidr } from '../../../../src/model/address';

const folder = join('test', 'recorded', 'ipset');
/** What `ipset save` printed on nodes of kube-proxy 1.36.2. */
const recordings = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8').split('\n'));

function parseRecording(lines: readonly string[], family: Family): ReturnType<SetParser['result']> {
  const parser = new SetParser(family);
  lines.forEach(parser.line);
  return parser.result();
}
const elementsOf = (family: Family): string[] =>
  recordings.flatMap((lines) => [...parseRecording(lines, family).elements.keys()]);

const cidr = (text: string): NonNullable<ReturnType<typeof parseCidr>> => {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
};

describe("kube-proxy's sets", () => {
  test.each(families)('have our names and our parameters (%s)', (family) => {
    const names = setNames
      .filter((name) => !/^KUBE-IPVS-(LOCAL|DROP|NODE-IPS|MARKS)$/.test(name))
      .map((name) => setName(family, name));
    const wanted = names.map((name) => [name, knownSets.get(name)?.parameters]).sort();
    for (const lines of recordings) expect([...parseRecording(lines, family).sets].sort()).toEqual(wanted);
  });

  test('names that are too long in IPv6 are cut as kube-proxy cuts them', () => {
    expect(setName('IPv6', 'KUBE-LOAD-BALANCER-SOURCE-CIDR')).toBe('KUBE-6-LOAD-BALANCER-SOURCE-CID');
    expect(setName('IPv6', 'KUBE-NODE-PORT-LOCAL-SCTP-HASH')).toBe('KUBE-6-NODE-PORT-LOCAL-SCTP-HAS');
  });

  test('every set has a name of its own that the kernel takes', () => {
    const ofSets = families.flatMap((family) =>
      setNames.flatMap((name) => [setName(family, name), bigSetName(family, name) ?? []].flat()),
    );
    expect(new Set(ofSets).size).toBe(ofSets.length);
    expect([...knownSets.keys()].sort()).toEqual([...ofSets].sort());
    for (const name of ofSets) expect(name.length).toBeLessThanOrEqual(31);
  });

  test('a set that grew is one of ours, and bitmaps hold every port there is', () => {
    expect(bigSetName('IPv6', 'KUBE-LOAD-BALANCER-SOURCE-CIDR')).toBe('KUBE-6-LB-SOURCE-CIDR-BIG');
    expect(bigSetName('IPv4', 'KUBE-CLUSTER-IP')).toBe('KUBE-CLUSTER-IP-BIG');
    expect(bigSetName('IPv4', 'KUBE-NODE-PORT-TCP')).toBeUndefined();
    expect(knownSets.get('KUBE-CLUSTER-IP-BIG')?.parameters).toBe('hash:ip,port family inet maxelem 1048576');
    expect(knownSets.get('KUBE-6-IPVS-LOCAL')?.parameters).toBe('hash:ip,port family inet6 maxelem 1048576 skbinfo');
  });
});

describe('elements', () => {
  test("are kube-proxy's, letter by letter", () => {
    expect(elementsOf('IPv4')).toEqual(
      expect.arrayContaining([
        `KUBE-CLUSTER-IP ${ipPortElement('10.96.0.10', 'TCP', 80)}`,
        `KUBE-LOOP-BACK ${ipPortIpElement('10.244.1.2', 'TCP', 8080, '10.244.1.2')}`,
        `KUBE-LOAD-BALANCER-SOURCE-CIDR ${ipPortNetElement('203.0.113.5', 'TCP', 80, cidr('192.168.88.100/32'))}`,
      ]),
    );
    expect(elementsOf('IPv6')).toEqual(
      expect.arrayContaining([
        `KUBE-6-CLUSTER-IP ${ipPortElement('fd96::10', 'TCP', 80)}`,
        `KUBE-6-LOOP-BACK ${ipPortIpElement('fd44:1::2', 'TCP', 8080, 'fd44:1::2')}`,
      ]),
    );
  });

  test('a net of one address is that address', () => {
    expect(ipPortNetElement('203.0.113.5', 'SCTP', 80, cidr('10.0.0.0/8'))).toBe('203.0.113.5,sctp:80,10.0.0.0/8');
    expect(ipPortNetElement('fd00::1', 'UDP', 53, cidr('fd00::/64'))).toBe('fd00::1,udp:53,fd00::/64');
    expect(ipPortNetElement('fd00::1', 'UDP', 53, cidr('fd00::2/128'))).toBe('fd00::1,udp:53,fd00::2');
  });

  test('a mark is written as ipset save prints it', () => {
    expect(markOptions(0x100001)).toBe('skbmark 0x100001');
    expect(markOptions(0x80300001)).toBe('skbmark 0x80300001');
  });
});
