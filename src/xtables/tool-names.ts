import type { Family } from '../model/address';
import type { Variant } from './variant';

type Tool = 'iptables' | 'iptables-save' | 'iptables-restore';

/** The full name, such as `ip6tables-nft-save`. What a short name stands for differs from machine to machine. */
export function toolName(tool: Tool, variant: Variant, family: Family): string {
  const name = tool.replace('iptables', `iptables-${variant}`);
  return family === 'IPv4' ? name : name.replace('iptables', 'ip6tables');
}
