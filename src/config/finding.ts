/** A mistake in a configuration, or a remark that its author should read. */
export interface Finding {
  /** `config.conf`. '' when it does not come from a file. */
  readonly file: string;
  /** From 1. undefined when it concerns the whole file. */
  readonly line: number | undefined;
  /** A field's path, or the flag that set it. May be ''. */
  readonly name: string;
  readonly what: string;
}

/** `config.conf:12: oomScoreAdj: 5000 is not between -1000 and 1000`. */
export function printFinding({ file, line, name, what }: Finding): string {
  const place = file === '' ? '' : `${file}${line === undefined ? '' : `:${line}`}: `;
  return `${place}${name === '' ? '' : `${name}: `}${what}`;
}
