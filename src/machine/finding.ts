/** What preflight found out about one thing. */
import type { ProxyConfiguration } from '../config/configuration';
import type { nodeConfigOf } from '../config/node-config';
import type { Family } from '../model/address';
import type { Node, Service } from '../model/cluster';
import type { IptablesVariant } from '../xtables/variant';

/** unknown: it could not be found out, which is not ok. */
export type Level = 'ok' | 'warn' | 'fail' | 'unknown';

export interface Finding {
  readonly check: string;
  readonly level: Level;
  /** What was found. */
  readonly what: string;
  /** What to do about it; '' for nothing. */
  readonly todo: string;
}

export function ok(check: string, what: string): Finding {
  return { check, level: 'ok', what, todo: '' };
}

export function warn(check: string, what: string, todo: string): Finding {
  return { check, level: 'warn', what, todo };
}

export function fail(check: string, what: string, todo: string): Finding {
  return { check, level: 'fail', what, todo };
}

/** @param reason in the words of the tool or server that was asked. */
export function cannotTell(check: string, reason: string, todo: string): Finding {
  return { check, level: 'unknown', what: `cannot tell: ${reason}`, todo };
}

/** What preflight found out about this machine for one mode. */
export interface MachineCheck {
  readonly findings: readonly Finding[];
  /** The families that the mode can serve. */
  readonly families: readonly Family[];
}

/** What preflight knows of the cluster. */
export interface CheckedCluster {
  readonly services: readonly Service[];
  /** This machine's, if there is one. */
  readonly node: Node | undefined;
  readonly nodeName: string;
  readonly configuration: ProxyConfiguration;
  readonly iptablesVariant: IptablesVariant;
  readonly mode: Parameters<typeof nodeConfigOf>[2];
}
