/** What preflight found out about one thing. */
import type { Family } from '../model/address';

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
