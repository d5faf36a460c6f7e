/** File, flags and defaults joined. */
import { UserError } from '../model/user-error';
import { completeConfiguration, gatesWithoutEffect } from './complete';
import type { ProxyConfiguration } from './configuration';
import { decodeConfiguration } from './decode';
import { idleFields } from './fields';
import type { FieldPath, Settings } from './fields';
import { type Finding, printFinding } from './finding';
import { messageOf } from '../model/error-message';

/** What the command line says about the configuration. */
export interface FlagSettings {
  /** Path of --config; '' without one. */
  readonly configFile: string;
  readonly master: string;
  /** Flags that are bound to fields. */
  readonly settings: Settings;
  /** The flag that set a field: `--cluster-cidr`. */
  readonly names: Readonly<Partial<Record<FieldPath, string>>>;
  /** Whose word counts where a file is given: the daemon keeps kube-proxy's rule, one-shot commands let flags win. */
  readonly precedence: 'file' | 'flags';
  /** Broken rules are left alone: a clean-up must not fail over a configuration that it does not use. */
  readonly mayBreakRules: boolean;
}

/** File, flags and defaults joined, and all that is to be said about them. */
export interface JoinedConfiguration {
  /** Only to be used where there are no problems. */
  readonly configuration: ProxyConfiguration;
  /** What was set, by whoever's word counts. */
  readonly settings: Settings;
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
  /** Where a field was set: its name is its path, or that of the flag that set it. */
  readonly placeOf: (path: FieldPath) => Omit<Finding, 'what'>;
}

export interface EffectiveConfiguration {
  readonly configuration: ProxyConfiguration;
  /** What was set, of which it was made. */
  readonly settings: Settings;
  /** A file was among what set it. */
  readonly fromFile: boolean;
  /** One line each, for the log. */
  readonly warnings: readonly string[];
}

/** Flags that count beside --config where otherwise the file does. */
function countsBesideFile(path: FieldPath): boolean {
  return path === 'hostnameOverride' || path.startsWith('logging.');
}

function pick(settings: Settings, wanted: (path: FieldPath) => boolean): Settings {
  return Object.fromEntries(Object.entries(settings).filter(([path]) => wanted(path as FieldPath)));
}

/** Throws UserError, one line, for a file that cannot be read, that is no YAML, or another kind of document. */
export async function joinConfiguration(
  flags: FlagSettings,
  readFile: (path: string) => Promise<string>,
): Promise<JoinedConfiguration> {
  const { configFile, names, master } = flags;
  const file =
    configFile === '' ? undefined : decodeConfiguration(await readConfiguration(configFile, readFile), configFile);
  const counts = file === undefined || flags.precedence === 'flags' ? (): boolean => true : countsBesideFile;
  const flagsThatCount = pick(flags.settings, counts);
  const ignored = Object.keys(pick(flags.settings, (path) => !counts(path))) as FieldPath[];
  const settings = { ...file?.settings, ...flagsThatCount };

  const placeOf = (path: FieldPath): Omit<Finding, 'what'> =>
    path in flagsThatCount || file === undefined
      ? { file: '', line: undefined, name: names[path] ?? path }
      : { file: configFile, line: file.lines[path], name: path };
  const completed = completeConfiguration(settings, {
    master,
    fromFile: file !== undefined,
    nameOf: (path) => placeOf(path).name,
  });
  const ignoredNames = ignored.map((path) => names[path] ?? path).join(', ');
  const what = `ignored, because --config says all that these would: ${ignoredNames}`;
  return {
    configuration: completed.configuration,
    settings,
    problems: [...(file?.problems ?? []), ...completed.problems.map(({ path, what }) => ({ ...placeOf(path), what }))],
    warnings: [
      ...(file?.warnings ?? []),
      ...(ignored.length === 0 ? [] : [{ file: '', line: undefined, name: '', what }]),
    ],
    placeOf,
  };
}

/** The configuration that flags ask for. Throws UserError, one line, with all that is wrong with it. */
export async function effectiveConfiguration(
  flags: FlagSettings,
  readFile: (path: string) => Promise<string>,
): Promise<EffectiveConfiguration> {
  const { configuration, settings, problems, warnings, placeOf } = await joinConfiguration(flags, readFile);
  if (problems.length > 0 && !flags.mayBreakRules) throw new UserError(problems.map(printFinding).join('; '));
  const idle = [
    ...idleFields(settings).map((path) => placeOf(path).name),
    ...gatesWithoutEffect(settings).map((gate) => `${placeOf('featureGates').name} ${gate}`),
  ];
  return {
    configuration,
    settings,
    fromFile: flags.configFile !== '',
    warnings: [
      ...warnings.map(printFinding),
      ...(idle.length === 0 ? [] : [`accepted, but without effect here: ${idle.join(', ')}`]),
    ],
  };
}

async function readConfiguration(path: string, readFile: (path: string) => Promise<string>): Promise<string> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new UserError(`--config: ${messageOf(error)}`);
  }
}
