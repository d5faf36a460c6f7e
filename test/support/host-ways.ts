/** The ways in which rules are written on a kernel without IPVS: by mode, and by variant of iptables where that counts. */
import type { ProxyMode } from '../../src/model/proxy-mode';
import type { IptablesVariant } from './lab/proxied-node';

export interface HostWay {
  readonly mode: ProxyMode;
  readonly variant?: IptablesVariant;
}

/** For describe.each and test.each. */
export const hostWays: readonly (readonly [name: string, way: HostWay])[] = [
  ['iptables, nft', { mode: 'iptables', variant: 'nft' }],
  ['iptables, legacy', { mode: 'iptables', variant: 'legacy' }],
  ['nftables', { mode: 'nftables' }],
];
