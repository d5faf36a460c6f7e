/** Checks that fields have in common. */
import { parseAddress } from '../model/address';
import type { BindAddress } from './configuration';
import { formatDuration } from './duration';
import { fields } from './fields';
import type { FieldPath, Settings } from './fields';
import { onOneLine } from './texts';
import { decimal, integer } from './value-kinds';

/** What a user has to mend. */
export interface Problem {
  readonly path: FieldPath;
  readonly what: string;
}

/** Collects what a user got wrong; each method gives back a value to go on with. */
export class Checks {
  readonly problems: Problem[] = [];

  /**
   * @param settings what was set.
   * @param nameOf what the user calls a field: its path, or the flag that set it.
   * @param initial in the place of a field's default.
   */
  constructor(
    readonly settings: Settings,
    readonly nameOf: (path: FieldPath) => string,
    private readonly initial: Settings = {},
  ) {}

  problem(path: FieldPath, what: string): void {
    this.problems.push({ path, what: onOneLine(what) });
  }

  value<P extends FieldPath>(path: P): NonNullable<Settings[P]> {
    return (this.settings[path] ?? this.initial[path] ?? fields[path].initial) as NonNullable<Settings[P]>;
  }

  within(path: 'iptables.masqueradeBit' | 'oomScoreAdj', lowest: number, highest: number): number {
    const value = this.value(path);
    if (value < lowest || value > highest) this.problem(path, `${value} is not within ${lowest} to ${highest}`);
    return value;
  }

  notNegative(path: FieldPath): void {
    const value = this.value(path) as number;
    if (value >= 0) return;
    const { kind } = fields[path];
    const shown = kind === integer || kind === decimal ? String(value) : formatDuration(value);
    this.problem(path, `${shown} is negative`);
  }

  positive(path: 'iptables.syncPeriod' | 'ipvs.syncPeriod' | 'configSyncPeriod'): number {
    const value = this.value(path);
    if (value <= 0) this.problem(path, `${formatDuration(value)} is not more than 0`);
    return value;
  }

  /** A bare address gets the port. */
  bindAddress(path: 'healthzBindAddress' | 'metricsBindAddress', given: string, port: number): BindAddress {
    const bare = parseAddress(given);
    if (bare !== undefined) return { address: bare, port };
    const parts = /^(?:\[(.*)\]|([^:]*)):(.*)$/.exec(given);
    const address = parseAddress(parts?.[1] ?? parts?.[2] ?? '');
    const portText = parts?.[3] ?? '';
    const number = /^\d{1,5}$/.test(portText) ? Number(portText) : 0;
    if (parts === null || address === undefined) {
      this.problem(path, `"${given}" is no IP address with a port, such as 0.0.0.0:${port} or [::]:${port}`);
    } else if (number < 1 || number > 65535) {
      this.problem(path, `"${portText}" is no port: it is a number from 1 to 65535`);
    }
    return { address: address ?? '0.0.0.0', port: number };
  }
}
