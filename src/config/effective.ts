/** File, flags and defaults joined. */
import { UserError } from '../model/user-error';
import { completeConfiguration, gatesWithoutEffect } from './complete';
import type { ProxyConfiguration } from './configuration';
import { decodeConfiguration } from './decode';
import { withoutEffectYet } from './fields';
import type { FieldPath, Settings } from './fields';

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

export interface EffectiveConfiguration {
  readonly configuration: ProxyConfiguration;
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

/**
 * The configuration that flags ask for. Throws UserError, one line, for a file that cannot be read or decoded and for
 * values that break a rule, all of them at once.
 */
export async function effectiveConfiguration(
  flags: FlagSettings,
  readFile: (path: string) => Promise<string>,
): Promise<EffectiveConfiguration> {
  const warnings: string[] = [];
  let settings = flags.settings;
  let flagsThatCount = flags.settings;
  if (flags.configFile !== '') {
    const file = decodeConfiguration(await readConfiguration(flags.configFile, readFile), flags.configFile);
    warnings.push(...file.warnings);
    const counts = flags.precedence === 'flags' ? (): boolean => true : countsBesideFile;
    flagsThatCount = pick(flags.settings, counts);
    settings = { ...file.settings, ...flagsThatCount };
    const ignored = Object.keys(pick(flags.settings, (path) => !counts(path))) as FieldPath[];
    if (ignored.length > 0) {
      const names = ignored.map((path) => flags.names[path] ?? path).join(', ');
      warnings.push(`ignored, because --config says all that these would: ${names}`);
    }
  }
  const nameOf = (path: FieldPath): string => (path in flagsThatCount ? (flags.names[path] ?? path) : path);
  const { configuration, problems } = completeConfiguration(settings, flags.master, nameOf);
  if (problems.length > 0 && !flags.mayBreakRules) {
    const where = flags.configFile === '' ? '' : `${flags.configFile}: `;
    throw new UserError(`${where}${problems.join('; ')}`);
  }
  const idle = [
    ...withoutEffectYet(settings).map(nameOf),
    ...gatesWithoutEffect(settings).map((gate) => `${nameOf('featureGates')} ${gate}`),
  ];
  if (idle.length > 0) warnings.push(`accepted, but without effect yet: ${idle.join(', ')}`);
  return { configuration, warnings };
}

async function readConfiguration(path: string, readFile: (path: string) => Promise<string>): Promise<string> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new UserError(`--config: ${error instanceof Error ? error.message : String(error)}`);
  }
}
