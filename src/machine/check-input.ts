/** What other programs' rules in INPUT mean in IPVS mode, where packets to Services pass through that chain. */
import { CommandError, runCommand } from '../host/command';
import type { Family } from '../model/address';
import type { Variant } from '../xtables/variant';
import { type Finding, ok, warn } from './finding';

export async function checkInput(family: Family, variant: Variant): Promise<Finding> {
  const tool = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${variant}`;
  try {
    const { stdout } = await runCommand(tool, ['-w', '-S', 'INPUT']);
    return judgeInput(family, stdout);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return warn('INPUT', `${family}: the rules cannot be read: ${error.message}`, '');
  }
}

/**
 * What virtual servers take is let in before other programs' rules are asked, so that it is as in iptables mode, where INPUT does
 * not see it. With kube-proxy's IPVS mode such rules did keep clients out.
 *
 * @param rules as `iptables -S INPUT` prints them.
 */
export function judgeInput(family: Family, rules: string): Finding {
  const lines = rules.split('\n');
  const closed = lines.filter((line) => /^-A INPUT .*-j (?:DROP|REJECT)\b/.test(line));
  const [first] = closed;
  if (first !== undefined)
    return warn(
      'INPUT',
      `${family}: ${closed.length === 1 ? 'a rule that keeps packets out does' : `${closed.length} rules that keep packets out do`} not hold for NodePorts and VIPs, which are let in before: ${first}`,
      'if it is meant for Services, use loadBalancerSourceRanges or nodePortAddresses, or `-t mangle -I PREROUTING` with the same match and -j DROP',
    );
  const isDropping = lines.includes('-P INPUT DROP');
  return ok('INPUT', `${family}: ${isDropping ? 'policy DROP; NodePorts and VIPs are let in' : 'open'}`);
}
