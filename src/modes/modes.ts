/** Every mode that there is. Adding one begins with its name in model/proxy-mode.ts. */
import type { ProxyMode } from '../model/proxy-mode';
import { ipvsMode } from './ipvs';
import { iptablesMode } from './iptables';
import type { Mode } from './mode';

export const modes: Readonly<Record<ProxyMode, Mode>> = { iptables: iptablesMode, ipvs: ipvsMode };

/** Of rules that were read; undefined: another proxy's mode, which vipwire has not. */
export function findMode(name: string): Mode | undefined {
  return Object.values(modes).find((mode) => mode.name === name);
}

/** What the others may have left is theirs to remove. */
export function otherModes(mode: Mode): readonly Mode[] {
  return Object.values(modes).filter((other) => other !== mode);
}
