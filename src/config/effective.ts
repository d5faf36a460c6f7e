/** Joins the configuration file, the flags and the defaults. */
import { messageOf } from '../model/error-message';
import { UserError } from '../model/user-error';
import { completeConfiguration, gatesWithoutEffect } from './complete';
import { fieldOfFlag } from './complete-mode';
import type { ProxyConfiguration } from './configuration';
import { decodeConfiguration } from './decode';
import { type FieldPath, idleFields, isFieldPath, type Settings } from './fields';
import { type Finding, printFinding } from './finding';

/** The part of the command line that concerns the configuration. */
export interface FlagSettings {
  /** Path of --config, or ''. */
  readonly configFile: string;
  readonly master: string;
  /** The flags that are bound to fields. */
  readonly settings: Settings;
  /** The flag that set a field, such as `--cluster-cidr`. */
  readonly names: Readonly<Partial<Record<FieldPath, string>>>;
  /** Which of the two wins when a file is given. The daemon follows kube-proxy, where the file wins; in one-shot commands flags win. */
  readonly precedence: 'file' | 'flags';
  /** Accept a configuration with mistakes: a clean-up must not fail because of settings that it does not use. */
  readonly mayBreakRules: boolean;
}

/** The joined configuration, with its mistakes and warnings. */
export interface JoinedConfiguration {
  /** To be used only when `problems` is empty. */
  readonly configuration: ProxyConfiguration;
  /** The settings of file and flags, by precedence, without defaults. */
  readonly settings: Settings;
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
  /** Returns where a field was set. The name is the field's path, or the flag that set it. */
  readonly placeOf: (path: FieldPath) => Omit<Finding, 'what'>;
}

export interface EffectiveConfiguration {
  readonly configuration: ProxyConfiguration;
  /** The settings from which it was made, without defaults. */
  readonly settings: Settings;
  /** Whether a configuration file was given. */
  readonly fromFile: boolean;
  /** Lines for the log. */
  readonly warnings: readonly string[];
}

/** Whether the field's flag counts even when --config is given. */
function countsBesideFile(path: FieldPath): boolean {
  return path === 'hostnameOverride' || path.startsWith('logging.');
}

function pick(settings: Settings, wanted: (path: FieldPath) => boolean): Settings {
  return Object.fromEntries(Object.entries(settings).filter(([path]) => isFieldPath(path) && wanted(path)));
}

/** Throws UserError with one line when the file cannot be read, is not YAML, or is another kind of document. */
export async function joinConfiguration(
  flags: FlagSettings,
  readFile: (path: string) => Promise<string>,
): Promise<JoinedConfiguration> {
  const { configFile, names, master } = flags;
  const file =
    configFile === '' ? undefined : decodeConfiguration(await readConfiguration(configFile, readFile), configFile);
  const counts = file === undefined || flags.precedence === 'flags' ? (): boolean => true : countsBesideFile;
  const given = pick(flags.settings, counts);
  const mode = given.mode ?? file?.settings.mode;
  const inMode = (path: string): string => (isFieldPath(path) ? fieldOfFlag(path, mode) : path);
  const flagsThatCount: Settings = Object.fromEntries(
    Object.entries(given).map(([path, value]) => [inMode(path), value] as const),
  );
  const namesThatCount: FlagSettings['names'] = Object.fromEntries(
    Object.entries(names).map(([path, name]) => [inMode(path), name] as const),
  );
  const ignored = Object.keys(pick(flags.settings, (path) => !counts(path))).filter(isFieldPath);
  const settings = { ...file?.settings, ...flagsThatCount };

  const placeOf = (path: FieldPath): Omit<Finding, 'what'> =>
    path in flagsThatCount || file === undefined
      ? { file: '', line: undefined, name: namesThatCount[path] ?? path }
      : { file: configFile, line: file.lines[path], name: path };
  const completed = completeConfiguration(settings, {
    master,
    fromFile: file !== undefined,
    nameOf: (path) => placeOf(path).name,
  });
  const ignoredNames = ignored.map((path) => names[path] ?? path).join(', ');
  const what = `these flags are ignored, because --config sets their fields: ${ignoredNames}`;
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

/** Returns the configuration that the flags ask for. Throws UserError with all mistakes in one line. */
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
      ...(idle.length === 0 ? [] : [`accepted, but without effect in vipwire: ${idle.join(', ')}`]),
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
