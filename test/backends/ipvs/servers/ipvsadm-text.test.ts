import { printServer, printServerWrites } from '../../../../src/backends/ipvs/servers/ipvsadm-text';

describe('servers in the words of ipvsadm', () => {
  test('each write is one line', () => {
    const text = printServerWrites(
      [
        { op: 'add-server', server: 'SCTP 10.96.0.11:9999', options: '-s rr' },
        { op: 'edit-destination', server: 'UDP 10.96.0.10:53', destination: '10.244.1.2:53', weight: 0 },
        { op: 'delete-server', server: 'TCP 10.96.0.10:80' },
      ],
      'IPv4',
    );
    expect(text).toBe(`-A --sctp-service 10.96.0.11:9999 -s rr
-e -u 10.96.0.10:53 -r 10.244.1.2:53 -m -w 0
-D -t 10.96.0.10:80
`);
  });

  test('a whole server', () => {
    const text = '-s sh -p 60 -b sh-port\n[fd00::1]:80 1\n[fd00::2]:80 0';
    expect(printServer('FWM 3145729', text, 'IPv6')).toBe(`-A -f 3145729 -6 -s sh -p 60 -b sh-port
-a -f 3145729 -6 -r [fd00::1]:80 -m -w 1
-a -f 3145729 -6 -r [fd00::2]:80 -m -w 0
`);
  });

  test('a server without destinations', () => {
    expect(printServer('TCP 10.96.0.10:80', '-s rr', 'IPv4')).toBe('-A -t 10.96.0.10:80 -s rr\n');
  });
});
