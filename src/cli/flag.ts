/** What a flag is, and how one is made. */
import { fieldAt, isZero } from '../config/fields';
import type { FieldPath } from '../config/fields';
import { bool } from '../config/value-kinds';
import type { ValueKind } from '../config/value-kinds';

export interface Flag {
  readonly name: string;
  readonly short?: string;
  readonly kind: ValueKind<unknown>;
  /** The value comes after `=` or not at all: `--version`, `--version=raw`. Always so for true and false. */
  readonly valueOnlyAfterEquals: boolean;
  readonly field?: FieldPath;
  readonly group: string;
  readonly placeholder: string;
  readonly help: string;
}

/** The group of those without effect. */
export const idle = "kube-proxy's, accepted without effect";

/** What a bound flag has besides. */
interface BoundOptions {
  readonly short?: string;
  readonly placeholder?: string;
  readonly valueOnlyAfterEquals?: boolean;
  /** In the place of the field's own words. */
  readonly help?: string;
}

/** A flag of its own. */
export function flag(name: string, kind: ValueKind<unknown>, group: string, help: string): Flag {
  return { name, kind, group, help, placeholder: kind.placeholder, valueOnlyAfterEquals: kind === bool };
}

/** A flag bound to a field, whose words and default it has; those without effect stand apart. */
export function bound(name: string, field: FieldPath, group: string, options: BoundOptions = {}): Flag {
  const { kind, initial, about, idle: why } = fieldAt(field);
  const { help = about, ...others } = options;
  const shown = isZero(initial) ? help : `${help} (default ${kind.print(initial)})`;
  return { ...flag(name, kind, why === '' ? group : idle, shown), ...others, field };
}
