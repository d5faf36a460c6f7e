/** The flags of one command line. */
import { CommanderError } from 'commander';
import type { FlagSettings } from '../config/effective';
import { fieldAt, type FieldPath, type Settings } from '../config/fields';
import { bool, text } from '../config/value-kinds';
import { UserError } from '../model/user-error';
import { buildCommand, type CommandName, commands } from './command-help';
import type { Flag } from './flag';
import { normalizeArguments } from './flag-grammar';

/** The deprecated port flags, the field with the address, and the address to use where none was given. */
const portFlags = [
  { flag: 'healthz-port', field: 'healthzBindAddress', anyAddress: '0.0.0.0' },
  { flag: 'metrics-port', field: 'metricsBindAddress', anyAddress: '127.0.0.1' },
] as const;

/** The flags and paths that were given to a command. The flag table says which type a value has. Every method throws UserError. */
export class GivenFlags {
  readonly paths: readonly string[];
  readonly #name: CommandName;
  readonly #values = new Map<string, unknown>();
  readonly #flags: readonly Flag[];

  constructor(name: CommandName, argv: readonly string[]) {
    this.#name = name;
    this.#flags = commands[name].flags;
    const command = buildCommand(name, 80);
    try {
      command.parse(normalizeArguments(argv, this.#flags), { from: 'user' });
    } catch (error) {
      throw error instanceof CommanderError ? new UserError(inPlainWords(error)) : error;
    }
    this.paths = command.args;
    const problems: string[] = [];
    for (const option of command.options) {
      const flag = this.#flags.find((each) => each.name === option.name());
      const texts: unknown = command.getOptionValue(option.attributeName());
      if (flag !== undefined && isTextList(texts)) this.#values.set(flag.name, parseTexts(flag, texts, problems));
    }
    if (problems.length > 0) throw new UserError(problems.join('; '));
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  on(name: string): boolean {
    return this.#values.get(name) === true;
  }

  text(name: string): string {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : '';
  }

  list(name: string): readonly string[] {
    const value = this.#values.get(name);
    return isTextList(value) ? value : [];
  }

  /** Milliseconds. */
  duration(name: string, initialMs: number): number {
    return this.#number(name) ?? initialMs;
  }

  choice<T extends string>(name: string, choices: readonly T[], initial: T): T {
    if (!this.has(name)) return initial;
    const found = choices.find((choice) => choice === this.text(name));
    if (found === undefined) throw new UserError(`--${name}: "${this.text(name)}" is not one of ${choices.join(', ')}`);
    return found;
  }

  /** Every flag as text. One that was not given has its default. */
  all(): Readonly<Record<string, string>> {
    const printed = this.#flags.map(({ name, kind, field }): [string, string] => {
      const value = this.#values.get(name) ?? (field === undefined ? undefined : fieldAt(field).initial);
      if (value === undefined) return [name, kind === bool ? 'false' : ''];
      const encoded = kind.encode?.(value);
      return [name, typeof encoded === 'string' ? encoded : kind.print(value)];
    });
    return Object.fromEntries(printed);
  }

  refusePaths(): void {
    const [path] = this.paths;
    if (path === undefined) return;
    const hint = Object.hasOwn(commands, path)
      ? `: the command comes first, as in vipwire ${path} --help`
      : this.has('manifests')
        ? ': give every path its own --manifests, or put commas between them'
        : `: vipwire ${this.#name} takes only flags`;
    throw new UserError(`unexpected argument "${path}"${hint}`);
  }

  /** The flags that set fields of the configuration. `without ports` leaves out the deprecated port flags, for a configuration to write. */
  configuration(
    precedence: FlagSettings['precedence'],
    mayBreakRules: boolean,
    ports: 'with ports' | 'without ports' = 'with ports',
  ): FlagSettings {
    const settings: Partial<Record<FieldPath, unknown>> = {};
    const names: Partial<Record<FieldPath, string>> = {};
    for (const { name, field, kind } of this.#flags) {
      const value = this.#values.get(name);
      // As in kube-proxy, an empty text is like a flag that was not given.
      if (field === undefined || value === undefined || (kind === text && value === '')) continue;
      settings[field] = value;
      names[field] = `--${name}`;
    }
    for (const { flag, field, anyAddress } of ports === 'with ports' ? portFlags : []) {
      const given = settings[field];
      const address = this.#addressByPort(flag, typeof given === 'string' ? given : anyAddress);
      if (address === undefined) continue;
      settings[field] = address;
      names[field] = `--${flag}`;
    }
    const texts = { configFile: this.text('config'), master: this.text('master') };
    // Each value was parsed by its field's own kind.
    return { ...texts, settings: settings as Settings, names, precedence, mayBreakRules };
  }

  /** Returns '' (no server) for port 0. Another port counts only where the address has none; undefined: the flag changes nothing. */
  #addressByPort(flag: (typeof portFlags)[number]['flag'], address: string): string | undefined {
    const port = this.#number(flag);
    if (port === undefined) return undefined;
    if (port === 0) return '';
    const hasPort = /^\[.*\]:|^[^:]*:[^:]*$/.test(address);
    return hasPort ? undefined : `${address.includes(':') ? `[${address}]` : address}:${port}`;
  }

  #number(name: string): number | undefined {
    const value = this.#values.get(name);
    return typeof value === 'number' ? value : undefined;
  }
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value);
}

function parseTexts(flag: Flag, texts: readonly string[], problems: string[]): unknown {
  const [first, ...others] = texts.flatMap((given) => {
    const value = flag.kind.parse(given);
    if (value !== undefined) return [value];
    problems.push(`--${flag.name}: want ${flag.kind.expects}, found "${given}"`);
    return [];
  });
  return others.reduce((joined, value) => flag.kind.join?.(joined, value) ?? value, first);
}

/** commander's message as one line, worded as kube-proxy's. */
function inPlainWords(error: CommanderError): string {
  const missing = /option '(\S+) <value>' argument missing/.exec(error.message);
  if (missing !== null) return `flag ${missing[1] ?? ''} needs a value`;
  const [what = '', hint] = error.message.replace(/^error: /, '').split('\n');
  const near = hint === undefined ? '' : `: ${hint.replace(/^\(Did you mean /, 'did you mean ').replace(/\)$/, '')}`;
  return what.replace("unknown option '", 'unknown flag ').replace(/'$/, '') + near;
}
