/** Something that is wrong with a configuration, or that its author should know. */
export interface Finding {
  /** `config.conf`; '' where no file says it. */
  readonly file: string;
  /** From 1; undefined: of the file as a whole. */
  readonly line: number | undefined;
  /** A field's path, or the flag that set it. */
  readonly name: string;
  readonly what: string;
}

/** `config.conf:12: oomScoreAdj: 5000 is not within -1000 to 1000`. */
export function printFinding({ file, line, name, what }: Finding): string {
  const place = file === '' ? '' : `${file}${line === undefined ? '' : `:${line}`}: `;
  return `${place}${name === '' ? '' : `${name}: `}${what}`;
}
