/** All modes. To add one, begin with its name in model/proxy-mode.ts. */
import { type ProxyMode, proxyModes } from '../model/proxy-mode';
import { iptablesMode } from './iptables';
import { ipvsMode } from './ipvs';
import type { Mode } from './mode';
import { nftablesMode } from './nftables';

export const modes: Readonly<Record<ProxyMode, Mode>> = {
  iptables: iptablesMode,
  ipvs: ipvsMode,
  nftables: nftablesMode,
};

export const defaultMode = modes[proxyModes[0]];

/** Finds the mode of rules that were read. Returns undefined for a mode of another proxy that vipwire does not have. */
export function findMode(name: string): Mode | undefined {
  return Object.values(modes).find((mode) => mode.name === name);
}

/** All modes except this one. */
export function otherModes(mode: Mode): readonly Mode[] {
  return Object.values(modes).filter((other) => other !== mode);
}
