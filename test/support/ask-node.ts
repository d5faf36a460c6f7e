import { join } from 'node:path';
import type { BusyCluster } from './busy-cluster';
import { vipwire } from './lab/proxied-node';

export interface NodeAnswer {
  readonly code: number;
  readonly stdout: string;
}

/** `vipwire COMMAND` on the cluster's node, as an administrator would. */
export async function askNode({ lab, options }: BusyCluster, ...command: readonly string[]): Promise<NodeAnswer> {
  const variant = options.variant === undefined ? [] : [`--iptables-variant=${options.variant}`];
  const flags = ['--config', join(lab.directory, 'config.json'), '--node', 'node', ...variant];
  const { stdout } = await lab.run('node', 'sh', [
    '-c',
    '"$@"; echo "exit $?"',
    'sh',
    ...vipwire,
    ...command,
    ...flags,
  ]);
  const [, text = '', code] = /^([^]*)exit (\d+)\n$/.exec(stdout) ?? [];
  return { code: Number(code), stdout: text };
}
