import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ProcIpVsParser, type ProcServer, type Resting } from '../../../../src/backends/ipvs/servers/proc-ip-vs';
import type { Family } from '../../../../src/model/address';

/** What `cat /proc/net/ip_vs` printed for the state of ipvsadm-save.txt, on Linux 6.1 with CONFIG_HZ=100. */
const recorded = readFileSync(join('test', 'recorded', 'ipvsadm', 'proc-net-ip-vs.txt'), 'latin1');

interface Parsed {
  readonly servers: ReadonlyMap<string, ProcServer>;
  readonly resting: readonly Resting[];
}

function parse(text: string, family: Family, pieceLength = text.length): Parsed {
  const servers = new Map<string, ProcServer>();
  const parser = new ProcIpVsParser(family, (server, seen) => servers.set(server, seen));
  for (let at = 0; at < text.length; at += pieceLength) parser.push(text.slice(at, at + pieceLength));
  parser.end();
  return { servers, resting: parser.resting };
}

const plain = { onePacket: false, persistenceTicks: 0 };

describe('/proc/net/ip_vs', () => {
  test('servers of IPv4, and of marks', () => {
    expect([...parse(recorded, 'IPv4').servers].sort()).toEqual([
      ['FWM 1048577', { scheduler: 'rr', ...plain, destinations: '\n10.244.1.2:8080 1' }],
      [
        'FWM 3145729',
        { scheduler: 'sh', ...plain, persistenceTicks: 3_000, destinations: '\n[fd00:10:244:1::2]:8080 3' },
      ],
      [
        'SCTP 10.96.0.11:9999',
        { scheduler: 'wlc', ...plain, destinations: '\n10.244.1.2:9999 1 Route\n10.244.1.3:9999 1 Tunnel' },
      ],
      [
        'TCP 10.96.0.10:80',
        // The order of the Plan: it sorts by text, where ':' comes after '0'.
        { scheduler: 'rr', ...plain, destinations: '\n10.244.1.10:8080 5\n10.244.1.2:8080 0\n10.244.1.3:8080 5' },
      ],
      ['TCP 10.96.0.13:80', { scheduler: 'mh', ...plain, persistenceTicks: 8_640_000, destinations: '' }],
      [
        'UDP 10.96.0.10:53',
        {
          scheduler: 'rr',
          onePacket: true,
          persistenceTicks: 1_080_000,
          persistenceMask: '255.255.255.0',
          destinations: '\n10.244.9.9:65535 65535',
        },
      ],
    ]);
  });

  test('servers of IPv6, and of marks', () => {
    const { servers } = parse(recorded, 'IPv6');
    expect([...servers].filter(([server]) => !server.startsWith('FWM')).sort()).toEqual([
      [
        'TCP [fd00:96::a]:80',
        {
          scheduler: 'rr',
          ...plain,
          destinations: '\n[fd00:10:244:1::2]:8080 1\n[fd00:10:244:1:a:b:c:d]:8080 2',
        },
      ],
      [
        'UDP [::1.2.3.4]:53',
        { scheduler: 'sh', ...plain, persistenceTicks: 6_000, persistenceMask: '64', destinations: '' },
      ],
      ['UDP [fd00:96::a]:53', { scheduler: 'rr', ...plain, persistenceTicks: 60_000, destinations: '' }],
    ]);
    expect(servers.get('FWM 1048577')).toBeDefined();
  });

  test('destinations of weight 0, with their active and inactive connections', () => {
    expect(parse(recorded, 'IPv4').resting).toEqual([
      { server: 'TCP 10.96.0.10:80', destination: '10.244.1.2:8080', weight: 0, connections: 2 },
    ]);
    const closing = recorded.replace('Masq    0      2          0 ', 'Masq    0      2          7 ');
    expect(parse(closing, 'IPv4').resting).toMatchObject([{ connections: 9 }]);
  });

  test.each([1, 7, 64, 4096])('in pieces of %i characters', (length) => {
    expect(parse(recorded, 'IPv4', length)).toEqual(parse(recorded, 'IPv4'));
    expect(parse(recorded, 'IPv6', length)).toEqual(parse(recorded, 'IPv6'));
  });

  test('nothing', () => {
    const header = recorded.split('\n').slice(0, 3).join('\n');
    expect(parse(`${header}\n`, 'IPv4')).toEqual({ servers: new Map(), resting: [] });
  });

  test('destinations of servers that are not ours are not taken for those of another server', () => {
    const text = `${recorded}AH  0A60000A:0000 rr  \n  -> 0AF40109:0000      Masq    1      0          0         \n`;
    expect(parse(text, 'IPv4')).toEqual(parse(recorded, 'IPv4'));
  });
});
