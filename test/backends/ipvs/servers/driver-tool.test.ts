import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseListedDestination, parseSavedServer } from '../../../../src/backends/ipvs/servers/driver-tool';
import { printServerOptions } from '../../../../src/backends/ipvs/servers/server-options';

const saved = readFileSync(join('test', 'recorded', 'ipvsadm', 'ipvsadm-save.txt'), 'latin1')
  .trimEnd()
  .split('\n');

describe('what ipvsadm prints', () => {
  test('servers that are saved', () => {
    const servers = saved.flatMap((line) => {
      const server = parseSavedServer(line);
      return server === undefined ? [] : [`${server[0]} ${printServerOptions(server[1])}`];
    });
    expect(servers).toEqual([
      'TCP 10.96.0.10:80 -s rr',
      'TCP 10.96.0.13:80 -s mh -p 86400 -b mh-fallback,mh-port',
      'UDP 10.96.0.10:53 -s rr -p 10800 -M 255.255.255.0 -o',
      'SCTP 10.96.0.11:9999 -s wlc -b flag-1,flag-3',
      'TCP [fd00:96::a]:80 -s rr',
      'UDP [fd00:96::a]:53 -s rr -p 600',
      'UDP [::1.2.3.4]:53 -s sh -p 60 -M 64 -b sh-fallback,sh-port',
      'FWM 1048577 -s rr',
      'FWM 3145729 -s sh -p 30 -b sh-port',
    ]);
  });

  test('a persistence engine is left out', () => {
    expect(parseSavedServer('-A -u 10.0.0.1:5060 -s rr -p 60 --pe sip')?.[1]).toMatchObject({ persistenceSeconds: 60 });
  });

  test.each([
    ['  -> 10.244.1.3:8080              Masq    5      2          1         ', '10.244.1.3:8080', 5, 3],
    ['  -> [fd00:10:244:1:a:b:c:d]:8080 Masq    0      0          0         ', '[fd00:10:244:1:a:b:c:d]:8080', 0, 0],
  ])('a destination that is listed: %s', (line, destination, weight, connections) => {
    expect(parseListedDestination(line)).toEqual({ destination, weight, connections });
  });

  test.each(['TCP  10.96.0.10:80 rr', '  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn'])(
    'no destination: %s',
    (line) => {
      expect(parseListedDestination(line)).toBeUndefined();
    },
  );
});
