import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decodeDestination,
  decodeServer,
  encodeDestinationsRequest,
  encodeInfoRequest,
  encodeServerRequest,
  encodeServerWrite,
  encodeTimeouts,
  longestWriteBytes,
} from '../../../../src/backends/ipvs/servers/driver-messages';
import { printServerWrite } from '../../../../src/backends/ipvs/servers/ipvsadm-text';
import { printServerOptions } from '../../../../src/backends/ipvs/servers/server-options';
import type { ServerWrite } from '../../../../src/backends/ipvs/servers/virtual-server';
import type { Family } from '../../../../src/model/address';

/**
 * Of ipvsadm 1.31 on Linux 6.1, little-endian. ipvsadm-requests.txt: what it sends for a line, after the netlink header, by
 * `strace -e trace=sendmsg -xx -s 8192 ipvsadm LINE`, the last message to the family IPVS of each. ipvs-answers.txt: what the kernel
 * answers to `ipvsadm -S -n` (recvmsg), which printed ipvsadm-save.txt.
 */
const recorded = (name: string): string[] =>
  readFileSync(join('test', 'recorded', 'ipvsadm', name), 'utf8')
    .trimEnd()
    .split('\n');

const requests = new Map(recorded('ipvsadm-requests.txt').map((line) => line.split('\t') as [string, string]));

const v4 = 'TCP 10.96.0.10:80';
const v6 = 'TCP [fd00:96::a]:80';
const endpoint4 = '10.244.1.2:8080';
const endpoint6 = '[fd00:10:244:1::2]:8080';
const mark4 = 'FWM 1048577';
const mark6 = 'FWM 3145729';

function add(server: string, options: string): ServerWrite {
  return { op: 'add-server', server, options };
}
function edit(server: string, options: string): ServerWrite {
  return { op: 'edit-server', server, options };
}

const writes: readonly (readonly [Family, ServerWrite])[] = [
  ['IPv4', add(v4, '-s rr')],
  ['IPv4', add('UDP 10.96.0.10:53', '-s wlc')],
  ['IPv4', add('SCTP 10.96.0.11:9999', '-s rr')],
  ['IPv4', add('TCP 192.0.2.7:443', '-s wrr -p 10800')],
  ['IPv4', add('TCP 10.96.0.12:80', '-s sh -b sh-fallback,sh-port')],
  ['IPv4', add('TCP 10.96.0.13:80', '-s mh -p 86400 -b mh-port')],
  ['IPv4', add('TCP 10.96.0.14:80', '-s mh -b mh-fallback')],
  ['IPv4', add('TCP 10.96.0.15:80', '-s wlc -b flag-3')],
  ['IPv4', add('TCP 10.96.0.16:80', '-s lblcr')],
  ['IPv6', add(v6, '-s rr')],
  ['IPv6', add('UDP [fd00:96::a]:53', '-s rr -p 600')],
  ['IPv6', add('SCTP [fd00:96::a]:9999', '-s rr')],
  ['IPv4', add(mark4, '-s rr')],
  ['IPv4', add('FWM 4294967295', '-s rr')],
  ['IPv6', add(mark6, '-s sh -b sh-port')],
  ['IPv4', edit(v4, '-s wrr')],
  ['IPv4', edit('TCP 192.0.2.7:443', '-s rr')],
  ['IPv4', edit('TCP 10.96.0.12:80', '-s sh')],
  ['IPv6', edit(v6, '-s rr -p 1')],
  ['IPv4', edit(mark4, '-s lc -p 300')],
  ['IPv4', { op: 'add-destination', server: v4, destination: endpoint4, weight: 1 }],
  ['IPv4', { op: 'add-destination', server: 'UDP 10.96.0.10:53', destination: '10.244.255.254:65535', weight: 65535 }],
  ['IPv4', { op: 'add-destination', server: 'SCTP 10.96.0.11:9999', destination: '10.244.1.2:1', weight: 1 }],
  ['IPv6', { op: 'add-destination', server: v6, destination: endpoint6, weight: 1 }],
  ['IPv4', { op: 'add-destination', server: mark4, destination: endpoint4, weight: 1 }],
  ['IPv6', { op: 'add-destination', server: mark6, destination: endpoint6, weight: 3 }],
  ['IPv4', { op: 'edit-destination', server: v4, destination: endpoint4, weight: 0 }],
  ['IPv6', { op: 'edit-destination', server: v6, destination: endpoint6, weight: 0 }],
  ['IPv4', { op: 'delete-destination', server: v4, destination: endpoint4 }],
  ['IPv6', { op: 'delete-destination', server: v6, destination: endpoint6 }],
  ['IPv4', { op: 'delete-destination', server: mark4, destination: endpoint4 }],
  ['IPv4', { op: 'delete-server', server: v4 }],
  ['IPv6', { op: 'delete-server', server: v6 }],
  ['IPv4', { op: 'delete-server', server: mark4 }],
  ['IPv6', { op: 'delete-server', server: mark6 }],
];

describe('what ipvsadm sends', () => {
  test.each(writes.map(([family, write]) => [printServerWrite(write, family), family, write] as const))(
    'for %s',
    (line, family, write) => {
      // Of an earlier message: what is written must not show through.
      const message = Buffer.alloc(10 + longestWriteBytes, 0xa5);
      const end = encodeServerWrite(write, family, message, 10);
      expect(message.toString('hex', 10, end)).toBe(requests.get(line));
    },
  );

  test('is here for every line that was recorded', () => {
    const lines = [...requests.keys()].filter((line) => /^-[AEDaed] /.test(line));
    expect(new Set(writes.map(([family, write]) => printServerWrite(write, family)))).toEqual(new Set(lines));
  });

  test('for timeouts', () => {
    const tcp = encodeTimeouts({ tcpSeconds: 900, tcpFinSeconds: 120, udpSeconds: 300 });
    expect(tcp.toString('hex')).toBe(requests.get('--set 900 120 300'));
    const udp = encodeTimeouts({ tcpSeconds: 0, tcpFinSeconds: 0, udpSeconds: 60 });
    expect(udp.toString('hex')).toBe(requests.get('--set 0 0 60'));
  });

  test('to ask', () => {
    expect(encodeInfoRequest().toString('hex')).toBe(requests.get('GET_INFO'));
    expect(encodeServerRequest().toString('hex')).toBe(requests.get('GET_SERVICE'));
    expect(encodeDestinationsRequest('IPv4', v4).toString('hex')).toBe(requests.get(`GET_DEST -t 10.96.0.10:80`));
    expect(encodeDestinationsRequest('IPv6', mark6).toString('hex')).toBe(requests.get(`GET_DEST -f 3145729 -6`));
  });

  test('the longest write has room', () => {
    const server = 'SCTP [fd00:1111:2222:3333:4444:5555:6666:7777]:65535';
    const message = Buffer.alloc(longestWriteBytes);
    expect(encodeServerWrite(add(server, '-s abcdefghijklmno -p 4294967'), 'IPv6', message, 0)).toBeGreaterThan(90);
    encodeServerWrite({ op: 'add-destination', server, destination: endpoint6, weight: 65535 }, 'IPv6', message, 0);
  });
});

describe('what the kernel answers', () => {
  const answers = recorded('ipvs-answers.txt').map((hex) => Buffer.from(hex, 'hex'));
  const saved = recorded('ipvsadm-save.txt');

  test('servers, in the words of ipvsadm -S', () => {
    const servers = answers.flatMap((answer) => decodeServer(answer) ?? []);
    const lines = servers.map(({ server, family, options }) =>
      printServerWrite(add(server, printServerOptions(options)), family),
    );
    // The netmask of a persistence is nothing that vipwire sets.
    expect(lines.sort()).toEqual(
      saved
        .filter((line) => line.startsWith('-A'))
        .map((line) => line.replace(/ -M \S+/, ''))
        .sort(),
    );
  });

  test('destinations, with their weights', () => {
    const destinations = answers.flatMap((answer) => decodeDestination(answer, 'IPv4') ?? []);
    const lines = destinations.map(({ destination, weight }) => `${destination} ${weight}`);
    const savedLines = saved.flatMap((line) => {
      const [, destination = '', weight = ''] = /-r (\S+) .*-w (\d+)/.exec(line) ?? [];
      return destination === '' ? [] : [`${destination} ${weight}`];
    });
    expect(lines.sort()).toEqual(savedLines.sort());
  });

  test('connections, active and inactive ones', () => {
    const destinations = answers.flatMap((answer) => decodeDestination(answer, 'IPv4') ?? []);
    const connectionsOf = (destination: string): number[] =>
      destinations.filter((state) => state.destination === destination).map(({ connections }) => connections);
    expect(connectionsOf('10.244.1.3:8080')).toEqual([3]);
    expect(connectionsOf('10.244.1.10:8080')).toEqual([2]);
    expect(connectionsOf('10.244.1.2:8080').sort()).toEqual([0, 2]);
  });

  test('a server is no destination, nor the other way round', () => {
    for (const answer of answers)
      expect(
        [decodeServer(answer), decodeDestination(answer, 'IPv4')].filter((found) => found !== undefined),
      ).toHaveLength(1);
  });
});
