/**
 * Makes UDP flows through DNAT, deletes some, and prints what is left as JSON; with the argument `without-addon` as on a
 * machine that the addon has no prebuilt file for.
 */
import { execFileSync } from 'node:child_process';
import dgram from 'node:dgram';
import { runCommand } from '../../src/host/command';
import { Conntrack } from '../../src/host/conntrack';
import { parseConntrackLine } from '../../src/host/conntrack-tool';
import { joinHostPort, type Family } from '../../src/model/address';
import type { FlowFilter, UdpFlow } from '../../src/model/flow';

const clients = 3;
const shell = (script: string): string => execFileSync('sh', ['-c', script], { encoding: 'utf8', stdio: 'pipe' });

/** VIPs :10 (a pod on :1:5353), :11 (a pod on :2:5353), and :12, which nothing translates. */
const setUp = `
  ip address add 10.9.0.1/32 dev lo; ip address add 10.9.0.2/32 dev lo
  ip route add local 10.9.0.0/16 dev lo; ip -6 route add local fd09::/64 dev lo
  iptables-nft -t nat -A OUTPUT -p udp -d 10.9.0.10 --dport 53 -j DNAT --to-destination 10.9.0.1:5353
  iptables-nft -t nat -A OUTPUT -p udp -d 10.9.0.11 --dport 53 -j DNAT --to-destination 10.9.0.2:5353
  ip6tables-nft -t nat -A OUTPUT -p udp -d fd09::10 --dport 53 -j DNAT --to-destination [fd09::1]:5353
  ip6tables-nft -t nat -A OUTPUT -p udp -d fd09::11 --dport 53 -j DNAT --to-destination [fd09::2]:5353`;

async function makeFlows(family: Family): Promise<void> {
  const net = family === 'IPv4' ? '10.9.0.' : 'fd09::';
  for (let client = 0; client < clients; client++) {
    const socket = dgram.createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
    for (const host of ['10', '11', '12'])
      await new Promise((resolve) => socket.send('question', 53, `${net}${host}`, resolve));
    socket.close();
  }
}

/** Lines such as `10.9.0.10:53 10.9.0.1:5353 3`: from, to and how many, according to the tool's own listing. */
function left(family: Family): string[] {
  const counts = new Map<string, number>();
  for (const line of shell(`conntrack -L -p udp -f ${family.toLowerCase()} 2>/dev/null`).split('\n')) {
    const flow = parseConntrackLine(line);
    if (flow === undefined) continue;
    const ends = `${joinHostPort(flow.dst, flow.dstPort)} ${joinHostPort(flow.replySrc, flow.replySrcPort)}`;
    counts.set(ends, (counts.get(ends) ?? 0) + 1);
  }
  return [...counts].map(([ends, count]) => `${ends} ${count}`).sort();
}

async function tryFamily(family: Family, conntrack: Conntrack): Promise<unknown> {
  const remove = (filter: FlowFilter): Promise<number> => conntrack.deleteUdpFlows(family, filter);
  const net = family === 'IPv4' ? '10.9.0.' : 'fd09::';
  await makeFlows(family);
  const before = left(family);
  const judged: UdpFlow[] = [];
  const isStale = (flow: UdpFlow): boolean => {
    judged.push(flow);
    return flow.dst === `${net}10`;
  };
  const nothing = await remove({ ports: new Set(), isStale: () => true });
  const otherPort = await remove({ ports: new Set([54]), isStale: (flow) => flow.dstPort === 54 });
  const deleted = await remove({ ports: new Set([53]), isStale });
  const after = left(family);
  // So many ports that a dump for each of them would cost too much.
  const rest = await remove({ ports: new Set([1, 2, 3, 4, 53]), isStale: () => true });
  return { before, nothing, otherPort, deleted, judged, after, rest, end: left(family) };
}

async function main(): Promise<unknown> {
  shell(setUp);
  if (process.argv[2] === 'without-addon') process.env['npm_config_arch'] = 'none';
  const conntrack = new Conntrack(runCommand);
  return { IPv4: await tryFamily('IPv4', conntrack), IPv6: await tryFamily('IPv6', conntrack) };
}

void main().then((result) => process.stdout.write(JSON.stringify(result)));
