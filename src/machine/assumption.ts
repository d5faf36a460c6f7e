import type { ProxyConfiguration } from '../config/configuration';
import type { Family } from '../model/address';
import type { Logger } from '../telemetry/log';
import type { IptablesVariant } from '../xtables/variant';

/** Something that a dry run could not find out, and what it assumes instead. */
export interface Assumption {
  /** Undefined where it is about both families. */
  readonly family?: Family;
  readonly what: string;
  /** Why it could not be found out, in the words of the tool or the kernel. */
  readonly reason: string;
}

export type OnAssumed = (assumption: Assumption) => void;

/** What a dry run asks of a mode. */
export interface DryRunRequest {
  readonly configuration: ProxyConfiguration;
  readonly iptablesVariant: IptablesVariant;
  readonly log: Logger;
  /** Is told what cannot be found out. */
  readonly assume: OnAssumed;
}
