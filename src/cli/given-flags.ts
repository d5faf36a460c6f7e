import { CommanderError } from 'commander';
import type { FlagSettings } from '../config/effective';
import { fieldAt } from '../config/fields';
import type { FieldPath, Settings } from '../config/fields';
import { bool, text } from '../config/value-kinds';
import { UserError } from '../model/user-error';
import { buildCommand, commands } from './command-help';
import type { CommandName } from './command-help';
import { normalizeArguments } from './flag-grammar';
import type { Flag } from './flag';

/** The deprecated flags of a port, the field that has the address, and the address where nobody gave one. */
const portFlags = [
  { flag: 'healthz-port', field: 'healthzBindAddress', anyAddress: '0.0.0.0' },
  { flag: 'metrics-port', field: 'metricsBindAddress', anyAddress: '127.0.0.1' },
] as const;

/** The flags and paths that somebody gave to a command, typed by the flag table. Every method throws UserError. */
export class GivenFlags {
  readonly paths: readonly string[];
  private readonly values = new Map<string, unknown>();
  private readonly flags: readonly Flag[];

  constructor(
    private readonly name: CommandName,
    argv: readonly string[],
  ) {
    this.flags = commands[name].flags;
    const command = buildCommand(name, 80);
    try {
      command.parse(normalizeArguments(argv, this.flags), { from: 'user' });
    } catch (error) {
      throw error instanceof CommanderError ? new UserError(inPlainWords(error)) : error;
    }
    this.paths = command.args;
    const problems: string[] = [];
    for (const option of command.options) {
      const flag = this.flags.find((each) => each.name === option.name());
      const texts = command.getOptionValue(option.attributeName()) as readonly string[] | undefined;
      if (flag !== undefined && texts !== undefined) this.values.set(flag.name, parseTexts(flag, texts, problems));
    }
    if (problems.length > 0) throw new UserError(problems.join('; '));
  }

  has(name: string): boolean {
    return this.values.has(name);
  }

  on(name: string): boolean {
    return this.values.get(name) === true;
  }

  text(name: string): string {
    return (this.values.get(name) as string | undefined) ?? '';
  }

  list(name: string): readonly string[] {
    return (this.values.get(name) as readonly string[] | undefined) ?? [];
  }

  /** Milliseconds. */
  duration(name: string, initialMs: number): number {
    return (this.values.get(name) as number | undefined) ?? initialMs;
  }

  choice<T extends string>(name: string, choices: readonly T[], initial: T): T {
    if (!this.has(name)) return initial;
    const found = choices.find((choice) => choice === this.text(name));
    if (found === undefined) throw new UserError(`--${name}: "${this.text(name)}" is none of ${choices.join(', ')}`);
    return found;
  }

  /** Every flag as text, at its default where it was not given. */
  all(): Readonly<Record<string, string>> {
    const printed = this.flags.map(({ name, kind, field }) => {
      const value = this.values.get(name) ?? (field === undefined ? undefined : fieldAt(field).initial);
      if (value === undefined) return [name, kind === bool ? 'false' : ''];
      const encoded = kind.encode?.(value);
      return [name, typeof encoded === 'string' ? encoded : kind.print(value)];
    });
    return Object.fromEntries(printed) as Readonly<Record<string, string>>;
  }

  refusePaths(): void {
    const [path] = this.paths;
    if (path === undefined) return;
    const hint = Object.hasOwn(commands, path)
      ? `: the command comes first, as in vipwire ${path} --help`
      : this.has('manifests')
        ? ': give every path a --manifests of its own, or put commas between them'
        : `: vipwire ${this.name} takes flags alone`;
    throw new UserError(`unexpected argument "${path}"${hint}`);
  }

  /** What the flags say about the configuration, of which the deprecated ports are no part where it is to be written. */
  configuration(
    precedence: FlagSettings['precedence'],
    mayBreakRules: boolean,
    ports: 'with ports' | 'without ports' = 'with ports',
  ): FlagSettings {
    const settings: Partial<Record<FieldPath, unknown>> = {};
    const names: Partial<Record<FieldPath, string>> = {};
    for (const { name, field, kind } of this.flags) {
      const value = this.values.get(name);
      // An empty text is nothing said, as in kube-proxy.
      if (field === undefined || value === undefined || (kind === text && value === '')) continue;
      settings[field] = value;
      names[field] = `--${name}`;
    }
    for (const { flag, field, anyAddress } of ports === 'with ports' ? portFlags : []) {
      const address = this.addressByPort(flag, (settings[field] as string | undefined) ?? anyAddress);
      if (address === undefined) continue;
      settings[field] = address;
      names[field] = `--${flag}`;
    }
    const texts = { configFile: this.text('config'), master: this.text('master') };
    return { ...texts, settings: settings as Settings, names, precedence, mayBreakRules };
  }

  /** A port of 0 is no server (''), another one counts where the address has none; undefined: the flag changes nothing. */
  private addressByPort(flag: (typeof portFlags)[number]['flag'], address: string): string | undefined {
    const port = this.values.get(flag) as number | undefined;
    if (port === undefined) return undefined;
    if (port === 0) return '';
    const hasPort = /^\[.*\]:|^[^:]*:[^:]*$/.test(address);
    return hasPort ? undefined : `${address.includes(':') ? `[${address}]` : address}:${port}`;
  }
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

/** commander's message as one line, in kube-proxy's words. */
function inPlainWords(error: CommanderError): string {
  const missing = /option '(\S+) <value>' argument missing/.exec(error.message);
  if (missing !== null) return `flag ${missing[1] ?? ''} needs a value`;
  const [what = '', hint] = error.message.replace(/^error: /, '').split('\n');
  const near = hint === undefined ? '' : `: ${hint.replace(/^\(Did you mean /, 'did you mean ').replace(/\)$/, '')}`;
  return what.replace("unknown option '", 'unknown flag ').replace(/'$/, '') + near;
}
