/** The connection tracker by the conntrack tool, for machines for which the netlink addon has no prebuilt file. */
import { type Family, parseAddress } from '../model/address';
import type { FlowFilter, UdpFlow } from '../model/flow';
import { CommandError, type RunCommand } from './command';
import { ConntrackUnavailableError } from './conntrack-unavailable';

const timeoutMs = 60_000;

/**
 * Parses a line of `conntrack -L`, which has the fields of the original direction, then those of the reply.
 * `udp 17 29 src=10.0.0.5 dst=10.96.0.10 sport=40001 dport=53 src=10.1.0.2 dst=10.0.0.5 sport=5353 dport=40001 [ASSURED] use=1`
 */
export function parseConntrackLine(line: string): UdpFlow | undefined {
  if (!line.startsWith('udp ')) return undefined;
  const all = (name: string): string[] =>
    [...line.matchAll(new RegExp(` ${name}=(\\S+)`, 'g'))].map((match) => match[1] ?? '');
  const dst = parseAddress(all('dst')[0] ?? '');
  const replySrc = parseAddress(all('src')[1] ?? '');
  const dstPort = all('dport')[0];
  const replySrcPort = all('sport')[1];
  if (dst === undefined || replySrc === undefined || dstPort === undefined || replySrcPort === undefined)
    return undefined;
  return { dst, dstPort: Number(dstPort), replySrc, replySrcPort: Number(replySrcPort) };
}

/** `--orig-dst 10.96.0.10 --orig-port-dst 53 --reply-src 10.1.0.2 --reply-port-src 5353`: the flow, for any client. */
function matchOf({ dst, dstPort, replySrc, replySrcPort }: UdpFlow): string[] {
  const original = ['--orig-dst', dst, '--orig-port-dst', String(dstPort)];
  return [...original, '--reply-src', replySrc, '--reply-port-src', String(replySrcPort)];
}

/**
 * Like Conntrack.deleteUdpFlows. The judgement does not depend on the client, so one call of the tool deletes all flows from a VIP
 * to an endpoint.
 */
export async function deleteFlowsByTool(run: RunCommand, family: Family, filter: FlowFilter): Promise<number> {
  if (filter.ports.size === 0) return 0;
  const udp = ['-p', 'udp', '-f', family.toLowerCase()];
  const stale = new Map<string, { match: string[]; flows: number }>();
  const judge = (line: string): void => {
    const flow = parseConntrackLine(line);
    if (flow === undefined || !filter.ports.has(flow.dstPort) || !filter.isStale(flow)) return;
    const match = matchOf(flow);
    const key = match.join(' ');
    stale.set(key, { match, flows: (stale.get(key)?.flows ?? 0) + 1 });
  };
  await run('conntrack', ['-L', ...udp], { onLine: judge, timeoutMs }).catch((error: unknown) => {
    if (error instanceof CommandError && error.notFound)
      throw new ConntrackUnavailableError(error.message, { cause: error });
    throw error;
  });
  let deleted = 0;
  for (const { match, flows } of stale.values()) {
    try {
      await run('conntrack', ['-D', ...udp, ...match], { timeoutMs });
      deleted += flows;
    } catch (error) {
      // Exit code 1 may also mean that no flow was left to delete.
      if (!(error instanceof CommandError && error.exitCode === 1 && error.stderr.includes(' 0 flow entries')))
        throw error;
    }
  }
  return deleted;
}
