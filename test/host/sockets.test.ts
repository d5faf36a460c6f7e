import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parseSockets, readOpenSockets } from '../../src/host/sockets';

const heading = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';

test.each([
  [' 0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1', 'TCP', 'IPv4', '127.0.0.1', 8080],
  [' 1: 00000000000000000000000000000000:7578 00000000000000000000000000000000:0000 0A 0', 'TCP', 'IPv6', '::', 30072],
  [
    ' 2: B80D0120000000000000000001000000:0035 00000000000000000000000000000000:0000 07 0',
    'UDP',
    'IPv6',
    '2001:db8::1',
    53,
  ],
] as const)('%s', (line, protocol, family, address, port) => {
  expect(parseSockets(`${heading}${line}\n`, protocol, family)).toEqual([{ protocol, family, address, port }]);
});

test('what is connected is none', () => {
  const line = ' 0: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000 0 0 1\n';
  expect(parseSockets(heading + line, 'TCP', 'IPv4')).toEqual([]);
  expect(parseSockets(heading + line, 'UDP', 'IPv4')).toEqual([]);
});

test('sockets of this machine are found', async () => {
  const tcp = createServer().listen(0, '127.0.0.1');
  const udp = createSocket('udp6').bind(0, '::1');
  await Promise.all([once(tcp, 'listening'), once(udp, 'listening')]);
  try {
    const { sockets, unread } = await readOpenSockets();
    expect(unread).toBeUndefined();
    const [tcpPort, udpPort] = [(tcp.address() as AddressInfo).port, udp.address().port];
    expect(sockets).toContainEqual({ protocol: 'TCP', family: 'IPv4', address: '127.0.0.1', port: tcpPort });
    expect(sockets).toContainEqual({ protocol: 'UDP', family: 'IPv6', address: '::1', port: udpPort });
  } finally {
    tcp.close();
    udp.close();
  }
});
