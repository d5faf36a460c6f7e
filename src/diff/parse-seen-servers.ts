import { parseServerOptions, printServerOptions } from '../backends/ipvs/servers/server-options';
import type { SeenServers } from '../backends/ipvs/servers/virtual-server';
import { type Family, familyOf, joinHostPort } from '../model/address';
import { parseIpvsServers } from '../trace/ipvs-servers';

/** Reads what `ipvsadm -Sn` prints into the texts that the IPVS backend uses for virtual servers. */
export function parseSeenServers(ipvsadm: string, family: Family): SeenServers {
  const servers = new Map<string, string>();
  const resting: { server: string; destination: string }[] = [];
  for (const [key, { end, options, destinations }] of parseIpvsServers(ipvsadm)) {
    const isOther =
      end === undefined ? options.includes('-6') !== (family === 'IPv6') : familyOf(end.address) !== family;
    if (isOther) continue;
    const [word = '', name = ''] = key.split(' ');
    const server = end === undefined ? `FWM ${name}` : `${word.toUpperCase()} ${name}`;
    const lines = destinations.map(({ address, port, weight }) => `${joinHostPort(address, port)} ${weight}`);
    servers.set(server, [plainOptions(options), ...lines.sort()].join('\n'));
    for (const { address, port, weight } of destinations)
      if (weight === 0) resting.push({ server, destination: joinHostPort(address, port) });
  }
  return { servers, resting };
}

function plainOptions(options: string): string {
  const own = options.replace(/(^| )-6( |$)/, '$1').trim();
  try {
    return printServerOptions(parseServerOptions(own));
  } catch (error) {
    // vipwire has never written such options.
    if (error instanceof TypeError) return own;
    throw error;
  }
}
