/** Checks that several fields share. */
import { parseAddress } from '../model/address';
import type { BindAddress } from './configuration';
import { formatDuration } from './duration';
import { type FieldPath, fields, type FieldValues, type NumberPath, type Settings } from './fields';
import { onOneLine } from './texts';
import { decimal, integer } from './value-kinds';

/** A mistake that the user has to correct. */
export interface Problem {
  readonly path: FieldPath;
  readonly what: string;
}

/** Collects the user's mistakes. Each method returns a usable value even after a mistake, so that all mistakes are found at once. */
export class Checks {
  readonly problems: Problem[] = [];
  readonly #initial: Settings;

  /**
   * @param settings the values that were set.
   * @param nameOf returns what the user calls a field: its path, or the flag that set it.
   * @param initial values that are used instead of the fields' own defaults.
   */
  constructor(
    readonly settings: Settings,
    readonly nameOf: (path: FieldPath) => string,
    initial: Settings = {},
  ) {
    this.#initial = initial;
  }

  problem(path: FieldPath, what: string): void {
    this.problems.push({ path, what: onOneLine(what) });
  }

  value<P extends FieldPath>(path: P): FieldValues[P] {
    return this.settings[path] ?? this.#initial[path] ?? fields[path].initial;
  }

  within(
    path: 'iptables.masqueradeBit' | 'nftables.masqueradeBit' | 'oomScoreAdj',
    lowest: number,
    highest: number,
  ): number {
    const value = this.value(path);
    if (value < lowest || value > highest) this.problem(path, `${value} is not between ${lowest} and ${highest}`);
    return value;
  }

  notNegative(path: NumberPath): void {
    const value = this.value(path);
    if (value >= 0) return;
    const { kind } = fields[path];
    const shown = kind === integer || kind === decimal ? String(value) : formatDuration(value);
    this.problem(path, `${shown} is negative`);
  }

  positive(path: 'iptables.syncPeriod' | 'ipvs.syncPeriod' | 'nftables.syncPeriod' | 'configSyncPeriod'): number {
    const value = this.value(path);
    if (value <= 0) this.problem(path, `${formatDuration(value)} must be more than 0`);
    return value;
  }

  /** Parses an address with a port. An address without a port gets `port`. */
  bindAddress(path: 'healthzBindAddress' | 'metricsBindAddress', given: string, port: number): BindAddress {
    const bare = parseAddress(given);
    if (bare !== undefined) return { address: bare, port };
    const parts = /^(?:\[(.*)\]|([^:]*)):(.*)$/.exec(given);
    const address = parseAddress(parts?.[1] ?? parts?.[2] ?? '');
    const portText = parts?.[3] ?? '';
    const number = /^\d{1,5}$/.test(portText) ? Number(portText) : 0;
    if (parts === null || address === undefined) {
      this.problem(path, `"${given}" is not an IP address with a port, such as 0.0.0.0:${port} or [::]:${port}`);
    } else if (number < 1 || number > 65535) {
      this.problem(path, `"${portText}" is not a port: use a number from 1 to 65535`);
    }
    return { address: address ?? '0.0.0.0', port: number };
  }
}
