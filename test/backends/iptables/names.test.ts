import { protocolName } from '../../../src/model/protocol';
import { affinityListName, hash16, servicePortIdentity } from '../../../src/backends/iptables/names';
import { serviceChainNames } from '../../../src/backends/iptables/render-service';
import { endpoint, servicePort } from '../../support/plans';

// From a node on which kube-proxy ran.
const identity = 'default/cip:p80tcp';
const known = '4CA35R3KTGNWVIKX';
const knownEndpoint = 'MMYZ5YJUTZCMHO4M';

test("hashes are kube-proxy's", () => {
  expect(hash16(identity)).toBe(known);
  expect(hash16(`${identity}10.244.0.1:8080`)).toBe(knownEndpoint);
});

test("a service port's chains have its hash", () => {
  const port = servicePort('cip', { portName: 'p80' });
  expect(servicePortIdentity(port)).toBe(identity);
  expect(serviceChainNames(port)).toEqual({
    cluster: `KUBE-SVC-${known}`,
    local: `KUBE-SVL-${known}`,
    external: `KUBE-EXT-${known}`,
    firewall: `KUBE-FW-${known}`,
  });
});

test("an endpoint's list of clients is named as kube-proxy names its chain", () => {
  expect(affinityListName(identity, endpoint('10.244.0.1'))).toBe(`KUBE-SEP-${knownEndpoint}`);
  expect(affinityListName(identity, endpoint('fd44::1'))).toBe(`KUBE-SEP-${hash16(`${identity}[fd44::1]:8080`)}`);
});

test('an unnamed port, and other protocols', () => {
  expect(servicePortIdentity(servicePort('lonly', {}))).toBe('default/lonlytcp');
  expect(servicePortIdentity(servicePort('dns', { portName: 'dns', protocol: 'UDP' }))).toBe('default/dns:dnsudp');
  expect((['TCP', 'UDP', 'SCTP'] as const).map(protocolName)).toEqual(['tcp', 'udp', 'sctp']);
});

test('16 characters of base32, which use all of the 80 bits', () => {
  const hashes = Array.from({ length: 400 }, (_, i) => hash16(i.toString()));
  for (const hash of hashes) expect(hash).toMatch(/^[A-Z2-7]{16}$/);
  for (let i = 0; i < 16; i++) expect(new Set(hashes.map((hash) => hash.charAt(i))).size).toBe(32);
});
