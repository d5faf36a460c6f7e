import { checkPorts, parsePortRanges, type PortFacts } from '../../../src/inspect/preflight/check-ports';
import type { OpenSocket } from '../../../src/host/sockets';
import { makeService } from '../../support/cluster-objects';

const web = makeService({
  ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 30080 }],
  healthCheckNodePort: 31000,
});
const dns = makeService({ name: 'dns', ports: [{ name: '', protocol: 'UDP', port: 53, nodePort: 40053 }] });
const listens = (protocol: OpenSocket['protocol'], port: number): OpenSocket => ({
  protocol,
  family: 'IPv6',
  address: '::',
  port,
});

function found(facts: Partial<PortFacts>): string[] {
  const none = { services: [web, dns], sockets: [], ephemeral: [], reserved: [], isProxied: false };
  return checkPorts({ ...none, ...facts })
    .filter(({ level }) => level !== 'ok')
    .map(({ check, level, what }) => `${check} ${level}: ${what}`);
}

test.each<[string, Partial<PortFacts>, string[]]>([
  ['nothing', {}, []],
  [
    'a socket on a NodePort',
    { sockets: [listens('TCP', 30080)] },
    ['NodePorts warn: also taken by sockets of this node: default/web 30080/TCP (a socket on [::]:30080)'],
  ],
  ['one of another protocol', { sockets: [listens('UDP', 30080)] }, []],
  [
    'the ephemeral range',
    { ephemeral: [[32768, 60999]] },
    ['ephemeral ports warn: 32768-60999 has NodePorts in it: default/dns 40053/UDP'],
  ],
  ['what is reserved of it', { ephemeral: [[32768, 60999]], reserved: [[40000, 41000]] }, []],
  [
    'a health check port',
    { sockets: [listens('TCP', 31000)] },
    ['health check ports warn: taken: default/web 31000/TCP'],
  ],
  ['which the proxy that runs has', { sockets: [listens('TCP', 31000)], isProxied: true }, []],
])('%s', (_what, facts, findings) => {
  expect(found(facts)).toEqual(findings);
});

test.each([
  ['32768\t60999', [[32768, 60999]]],
  ['', []],
  ['8080', [[8080, 8080]]],
  [
    '30000-32767,8080',
    [
      [30000, 32767],
      [8080, 8080],
    ],
  ],
])('ranges %j', (text, ranges) => {
  expect(parsePortRanges(text)).toEqual(ranges);
});
