/** What a flag is, and how one is made. */
import { fieldAt, type FieldPath, isZero } from '../config/fields';
import { bool, type ValueKind } from '../config/value-kinds';

export interface Flag {
  readonly name: string;
  readonly short?: string;
  readonly kind: ValueKind<unknown>;
  /** The value comes after `=`, or there is none: `--version`, `--version=raw`. Every boolean flag is like this. */
  readonly valueOnlyAfterEquals: boolean;
  readonly field?: FieldPath;
  readonly group: string;
  readonly placeholder: string;
  readonly help: string;
}

/** The group of flags without effect. */
export const idle = "kube-proxy's, accepted without effect";

interface BoundOptions {
  readonly short?: string;
  readonly placeholder?: string;
  readonly valueOnlyAfterEquals?: boolean;
  /** Instead of the field's own description. */
  readonly help?: string;
}

/** A flag that is not bound to a field of the configuration. */
export function flag(name: string, kind: ValueKind<unknown>, group: string, help: string): Flag {
  return { name, kind, group, help, placeholder: kind.placeholder, valueOnlyAfterEquals: kind === bool };
}

/** A flag that sets a field, with the field's description and default. Where the field has no effect, the flag is in the group `idle`. */
export function bound(name: string, field: FieldPath, group: string, options: BoundOptions = {}): Flag {
  const { kind, initial, about, idle: why } = fieldAt(field);
  const { help = about, ...others } = options;
  const shown = isZero(initial) ? help : `${help} (default ${kind.print(initial)})`;
  return { ...flag(name, kind, why === '' ? group : idle, shown), ...others, field };
}
