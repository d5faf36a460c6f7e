/** Sets the kernel of a network namespace as the configuration in the first argument asks, and tells the log and the values, as JSON. */
import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { findUnwritable, setUpKernel } from '../../src/machine/kernel-settings';
import { completeConfiguration } from '../../src/config/complete';
import type { Settings } from '../../src/config/fields';
import { modes } from '../../src/modes/modes';
import { createLogger } from '../../src/telemetry/logger';
import { type LogLine, parseLogLine } from '../support/log-lines';

const [, guest = '', json = '', rights = 'all'] = process.argv;

/** As in a container without privileges. */
const fewRights: Readonly<Record<string, string>> = {
  container:
    'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && mount -o remount,bind,ro /sys && ' +
    'exec setpriv --bounding-set=-all,+net_admin,+net_raw --inh-caps=-all "$@"',
  // It still has its own /proc/self.
  nobody: 'exec setpriv --reuid=65534 --clear-groups --bounding-set=-all --inh-caps=-all "$@"',
};

async function main(): Promise<unknown> {
  const script = fewRights[rights];
  if (script !== undefined) {
    // A bundle that everyone may read.
    const command = ['--mount', 'sh', '-c', script, 'sh', process.execPath, '-', json, 'as they are'];
    return JSON.parse(execFileSync('unshare', command, { encoding: 'utf8', input: readFileSync(guest) }));
  }
  const lines: LogLine[] = [];
  const log = createLogger({ verbosity: 0, format: 'json' }, (line) => lines.push(parseLogLine(line)));
  const { configuration } = completeConfiguration(JSON.parse(json) as Settings);
  const unwritable = await findUnwritable(configuration, modes[configuration.mode]);
  await setUpKernel(configuration, modes[configuration.mode], log);
  await setUpKernel(configuration, modes[configuration.mode], log);
  const value = (path: string): number => Number(readFileSync(path, 'utf8'));
  const tracker = '/proc/sys/net/netfilter/nf_conntrack_';
  return {
    unwritable,
    lines: lines.map(({ level, msg, settings }) => ({ level, msg, settings })),
    established: value(`${tracker}tcp_timeout_established`),
    closeWait: value(`${tracker}tcp_timeout_close_wait`),
    udp: value(`${tracker}udp_timeout`),
    liberal: value(`${tracker}tcp_be_liberal`),
    localnet: value('/proc/sys/net/ipv4/conf/all/route_localnet'),
    oom: value('/proc/self/oom_score_adj'),
  };
}

void main().then((result) => process.stdout.write(JSON.stringify(result)));
