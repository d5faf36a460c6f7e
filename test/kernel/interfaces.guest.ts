/** Addresses of interfaces of all kinds, by netlink (by the argument `without-addon` as where it cannot load) and by ip, as JSON. */
import { execFileSync } from 'node:child_process';
import { askIPv6, parseIpAddresses, readBridges, readInterfaceAddresses } from '../../src/host/interfaces';
import { NetlinkUnavailableError } from '../../src/host/netlink';
import { NfGeneration } from '../../src/host/nf-generation';
import { readSysctl, writeSysctl } from '../../src/host/sysctl';

const shell = (script: string): string => execFileSync('sh', ['-c', script], { encoding: 'utf8' });

async function main(): Promise<unknown> {
  shell(`ip link add down0 type veth peer name up0; ip address add 10.96.0.10/32 dev down0
    ip link set up0 up; ip -6 address add fd09::1/64 dev up0 nodad
    ip address add 10.1.0.1 peer 10.1.0.2 dev up0; ip address add 10.1.1.1/24 dev up0 label up0:1`);
  if (process.argv[2] === 'without-addon') process.env['npm_config_arch'] = 'none';
  const generation = new NfGeneration();
  const drift: unknown = await generation.readGeneration().catch((error: unknown) => error);
  const read = await readInterfaceAddresses();
  shell('ip link add bridge0 type bridge');
  const bridges = await readBridges();
  const byIp = parseIpAddresses(shell('ip -j address'));
  const supported = (await askIPv6()).kind === 'found';
  const wrote = await writeSysctl('net/ipv6/conf/all/disable_ipv6', '1');
  const wroteAgain = await writeSysctl('net/ipv6/conf/all/disable_ipv6', '1');
  const refused: unknown = await writeSysctl('net/ipv4/ip_default_ttl', '1000000').catch((error: unknown) => error);
  return {
    drift: drift instanceof NetlinkUnavailableError ? drift.name : typeof drift,
    read,
    byIp,
    bridges,
    supported,
    writes: [wrote, wroteAgain, await readSysctl('net/ipv6/conf/all/disable_ipv6')],
    supportedAfter: (await askIPv6()).kind === 'found',
    refused: String(refused),
  };
}

void main().then((result) => process.stdout.write(JSON.stringify(result)));
