import { parseIpSets } from '../../src/trace/ip-sets';
import { markOfIpSet, matchIpSet } from '../../src/trace/match-ip-set';
import { startPacket } from '../../src/trace/packet';

const sets = parseIpSets(`\
create VIPS hash:ip,port family inet hashsize 1024 maxelem 65536
add VIPS 10.96.0.10,tcp:80
add VIPS 10.96.0.11,17:53
create PORTS bitmap:port range 0-65535
add PORTS 30080
create RANGES hash:ip,port,net family inet hashsize 1024 maxelem 65536
add RANGES 203.0.113.1,tcp:80,192.168.88.0/24
add RANGES 203.0.113.1,tcp:80,192.0.2.7
create MARKS hash:ip,port family inet skbinfo
add MARKS 203.0.113.1,tcp:80 skbmark 0x100001/0xffffffff
`);

function packetTo(destination: string, port: number, source = '192.168.88.100', protocol: 'tcp' | 'udp' = 'tcp') {
  return startPacket({ protocol, source, destination, port, device: 'eth0' }, 'IPv4', source);
}

const told: string[] = [];
const context = {
  node: { isLocal: () => false, deviceTo: () => 'eth0', sourceTo: () => '' },
  sets,
  onSource: (cidr: string) => told.push(cidr),
};

test.each([
  ['VIPS', 'dst,dst', packetTo('10.96.0.10', 80), true],
  ['VIPS', 'dst,dst', packetTo('10.96.0.10', 81), false],
  ['VIPS', 'dst,dst', packetTo('10.96.0.11', 53, '10.0.0.1', 'udp'), true],
  ['VIPS', 'src,dst', packetTo('10.0.0.1', 80, '10.96.0.10'), true],
  ['PORTS', 'dst', packetTo('192.168.88.10', 30080), true],
  ['PORTS', 'dst', packetTo('192.168.88.10', 30081), false],
  ['RANGES', 'dst,dst,src', packetTo('203.0.113.1', 80), true],
  ['RANGES', 'dst,dst,src', packetTo('203.0.113.1', 80, '192.0.2.7'), true],
  ['RANGES', 'dst,dst,src', packetTo('203.0.113.1', 80, '192.0.2.8'), false],
  ['RANGES', 'dst,dst,src', packetTo('203.0.113.1', 443), false],
  ['NONE', 'dst,dst', packetTo('10.96.0.10', 80), false],
])('%s %s, packet %#', (set, directions, packet, isIn) => {
  expect(matchIpSet(set, directions, packet, context)).toBe(isIn);
});

test('every net that a source is compared with is told', () => {
  told.length = 0;
  matchIpSet('RANGES', 'dst,dst,src', packetTo('203.0.113.1', 80), context);
  expect(told).toEqual(['192.168.88.0/24', '192.0.2.7/32']);
});

test('the mark of an entry', () => {
  expect(markOfIpSet('MARKS', 'dst,dst', packetTo('203.0.113.1', 80), context)).toBe(0x100001);
  expect(markOfIpSet('MARKS', 'dst,dst', packetTo('203.0.113.2', 80), context)).toBeUndefined();
  expect(markOfIpSet('VIPS', 'dst,dst', packetTo('10.96.0.10', 80), context)).toBeUndefined();
});
