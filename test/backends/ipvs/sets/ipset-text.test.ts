import {
  foreignParameters,
  printSetAdditions,
  printSetRemovals,
  SetParser,
  type SetWrites,
} from '../../../../src/backends/ipvs/sets/ipset-text';

const nothing: SetWrites = {
  creates: [],
  deletionsFirst: [],
  additions: new Map(),
  deletions: [],
  destroys: [],
};
const adding = (element: string, options = ''): (() => string) => {
  return () => printSetAdditions({ ...nothing, additions: new Map([[element, options]]) });
};

function parse(family: 'IPv4' | 'IPv6', ...lines: string[]): ReturnType<SetParser['result']> {
  const parser = new SetParser(family);
  lines.forEach(parser.line);
  return parser.result();
}

const saved = [
  'create CALI40all hash:net family inet hashsize 1024 maxelem 1048576',
  'add CALI40all 10.244.0.0/16',
  'create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 32768 maxelem 65536 bucketsize 12 initval 0xb2f1c9e1',
  'add KUBE-CLUSTER-IP 10.96.0.10,udp:53',
  'add KUBE-CLUSTER-IP 10.96.0.10,tcp:53',
  'create KUBE-6-CLUSTER-IP hash:ip,port family inet6 hashsize 1024 maxelem 65536 bucketsize 12 initval 0x29f6c1d1',
  'add KUBE-6-CLUSTER-IP fd96::a,tcp:80',
  'create KUBE-NODE-PORT-TCP bitmap:port range 0-65535',
  'add KUBE-NODE-PORT-TCP 30080',
  'create KUBE-IPVS-LOCAL hash:ip,port family inet hashsize 1024 maxelem 1048576 skbinfo bucketsize 12 initval 0x1d7b4f0e',
  'add KUBE-IPVS-LOCAL 203.0.113.5,tcp:80 skbmark 0x100001',
  '',
];

describe('what ipset is given', () => {
  const writes: SetWrites = {
    creates: ['KUBE-CLUSTER-IP', 'KUBE-6-LOAD-BALANCER-SOURCE-CID', 'KUBE-IPVS-LOCAL', 'KUBE-NODE-PORT-TCP'],
    deletionsFirst: ['KUBE-LOOP-BACK 10.244.1.2,tcp:8080,10.244.1.2'],
    additions: new Map([
      ['KUBE-CLUSTER-IP 10.96.0.10,tcp:80', ''],
      ['KUBE-6-LOAD-BALANCER-SOURCE-CID fd00::1,sctp:80,fd00::/64', ''],
      ['KUBE-IPVS-LOCAL 203.0.113.5,udp:53', 'skbmark 0x100001'],
      ['KUBE-NODE-PORT-TCP 30080', ''],
      ['KUBE-IPVS-IPS 10.96.0.10', ''],
      ['KUBE-6-IPVS-IPS ::10.96.0.10', ''],
    ]),
    deletions: ['KUBE-CLUSTER-IP 10.96.0.9,tcp:80', 'KUBE-CLUSTER-IP-BIG 10.96.0.9,tcp:80'],
    destroys: ['KUBE-CLUSTER-IP-BIG'],
  };

  test('before the rules that rely on them: sets, then elements', () => {
    expect(printSetAdditions(writes)).toBe(`create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536
create KUBE-6-LOAD-BALANCER-SOURCE-CID hash:ip,port,net family inet6 hashsize 1024 maxelem 65536
create KUBE-IPVS-LOCAL hash:ip,port family inet hashsize 1024 maxelem 1048576 skbinfo
create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
del KUBE-LOOP-BACK 10.244.1.2,tcp:8080,10.244.1.2
add KUBE-CLUSTER-IP 10.96.0.10,tcp:80
add KUBE-6-LOAD-BALANCER-SOURCE-CID fd00::1,sctp:80,fd00::/64
add KUBE-IPVS-LOCAL 203.0.113.5,udp:53 skbmark 0x100001
add KUBE-NODE-PORT-TCP 30080
add KUBE-IPVS-IPS 10.96.0.10
add KUBE-6-IPVS-IPS ::10.96.0.10
`);
  });

  test('after the rules: elements, then sets together with their elements', () => {
    expect(printSetRemovals(writes)).toBe('del KUBE-CLUSTER-IP 10.96.0.9,tcp:80\ndestroy KUBE-CLUSTER-IP-BIG\n');
  });

  test('nothing is no input at all', () => {
    expect([printSetAdditions(nothing), printSetRemovals(nothing)]).toEqual(['', '']);
  });

  test.each([
    ['KUBE-CLUSTER-IP 10.96.0.10,tcp:80\nflush'],
    ['KUBE-CLUSTER-IP 10.96.0.10,tcp:80 timeout 0'],
    ['KUBE-CLUSTER-IP 10.96.0.10,icmp:80'],
    ['KUBE-CLUSTER-IP 10.96.0.0/16,tcp:80'],
    ['KUBE-CLUSTER-IP fd00::1,tcp:80'],
    ['KUBE-6-CLUSTER-IP 10.96.0.10,tcp:80'],
    ['KUBE-6-CLUSTER-IP default/web,tcp:80'],
    ['KUBE-CLUSTER-IP 10.96.0.10'],
    ['KUBE-IPVS-IPS 10.96.0.10,tcp:80'],
    ['KUBE-NODE-PORT-TCP 80-90'],
    ['KUBE-LOOP-BACK 10.96.0.10,tcp:80'],
    ['CALI40all 10.96.0.10'],
    [''],
  ])('%j is no element', (element) => {
    expect(adding(element)).toThrow('not an element of a set');
  });

  test('options are a mark or none, and a set is one of ours', () => {
    expect(adding('KUBE-IPVS-LOCAL 203.0.113.5,tcp:80', 'skbmark 0x1 skbprio 1:1')).toThrow('not an element of a set');
    expect(() => printSetAdditions({ ...nothing, creates: ['CALI40all'] })).toThrow('not a set of vipwire');
    expect(() => printSetRemovals({ ...nothing, destroys: ['CALI40all'] })).toThrow('not a set of vipwire');
  });
});

describe('what ipset saves', () => {
  test('the sets of one family, whatever the sizes of their hashes are, and their elements', () => {
    expect(parse('IPv4', ...saved)).toEqual({
      sets: new Map([
        ['KUBE-CLUSTER-IP', 'hash:ip,port family inet maxelem 65536'],
        ['KUBE-NODE-PORT-TCP', 'bitmap:port range 0-65535'],
        ['KUBE-IPVS-LOCAL', 'hash:ip,port family inet maxelem 1048576 skbinfo'],
      ]),
      elements: new Map([
        ['KUBE-CLUSTER-IP 10.96.0.10,udp:53', ''],
        ['KUBE-CLUSTER-IP 10.96.0.10,tcp:53', ''],
        ['KUBE-NODE-PORT-TCP 30080', ''],
        ['KUBE-IPVS-LOCAL 203.0.113.5,tcp:80', 'skbmark 0x100001'],
      ]),
    });
    expect([...parse('IPv6', ...saved).elements.keys()]).toEqual(['KUBE-6-CLUSTER-IP fd96::a,tcp:80']);
  });

  test('sets with our names that nobody can use are reported', () => {
    expect(foreignParameters(parse('IPv4', ...saved))).toEqual([]);
    const odd = parse('IPv4', 'create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536 counters');
    expect(foreignParameters(odd)).toEqual([
      {
        name: 'KUBE-CLUSTER-IP',
        has: 'hash:ip,port family inet maxelem 65536 counters',
        wants: 'hash:ip,port family inet maxelem 65536',
      },
    ]);
  });
});
