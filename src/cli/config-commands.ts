/** `--write-config-to` writes a configuration out in full, and `vipwire config check` checks one. */
import { gatesWithoutEffect } from '../config/complete';
import { type FlagSettings, joinConfiguration, type JoinedConfiguration } from '../config/effective';
import { changedFields, fieldAt } from '../config/fields';
import { type Finding, printFinding } from '../config/finding';
import { printConfiguration } from '../config/print';
import { readStandardInput, readTextFile, writeTextFile } from '../host/files';
import { alignColumns } from '../inspect/columns';
import { messageOf } from '../model/error-message';
import { UserError } from '../model/user-error';
import type { ConfigCheckInvocation, WriteConfigInvocation } from './invocation';

/** Throws UserError where the configuration is wrong or the file cannot be written. The path `-` is standard output. */
export async function writeConfig({ flags, path }: WriteConfigInvocation): Promise<number> {
  const { settings, configuration, problems } = await joinConfiguration(flags, readTextFile);
  if (problems.length > 0) throw new UserError(problems.map(printFinding).join('; '));
  const text = printConfiguration(settings, configuration, flags.configFile !== '');
  if (path === '-') process.stdout.write(text);
  else
    await writeTextFile(path, text).catch((error: unknown) => {
      throw new UserError(`--write-config-to: ${messageOf(error)}`);
    });
  return 0;
}

/** Returns 0 where vipwire would start with the file, and 2 where it would not. */
export async function checkConfig({ file }: ConfigCheckInvocation): Promise<number> {
  const flags: FlagSettings = {
    configFile: file,
    master: '',
    settings: {},
    names: {},
    precedence: 'file',
    mayBreakRules: true,
  };
  const joined = await joinConfiguration(flags, (path) => (path === '-' ? readStandardInput() : readTextFile(path)));
  process.stdout.write(printCheck(file, joined));
  return joined.problems.length === 0 ? 0 : 2;
}

/** What is wrong, what one should know, and what each field does that is not at its default. */
function printCheck(file: string, joined: JoinedConfiguration): string {
  const { configuration, settings, problems, placeOf } = joined;
  const warnings = [
    ...joined.warnings,
    ...gatesWithoutEffect(settings).map((gate) => ({ ...placeOf('featureGates'), what: `${gate} has no effect here` })),
  ];
  const changed = changedFields(settings).map((path) => {
    const { kind, about, idle } = fieldAt(path);
    const what = idle === '' ? about : `no effect here: ${idle}`;
    return ['line', String(placeOf(path).line ?? '-'), path, kind.print(settings[path]), what];
  });
  const verdict =
    problems.length === 0
      ? `good: vipwire starts with it, in mode ${configuration.mode}`
      : `wrong: vipwire does not start with it`;
  return [
    `${file === '-' ? 'standard input' : file}: ${verdict}\n`,
    section('wrong', problems.map(findingRow)),
    section('to be known', warnings.map(findingRow)),
    section('other than the default', changed),
  ].join('');
}

function findingRow({ line, name, what }: Finding): string[] {
  return ['line', line === undefined ? '-' : String(line), name, what];
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const inOrder = [...rows].sort(([, a], [, b]) => Number(a) - Number(b));
  const width = Math.max(...rows.map(([, line = '']) => line.length));
  const aligned = inOrder.map(([word = '', line = '', ...cells]) => [`  ${word} ${line.padStart(width)}`, ...cells]);
  return `\n${title}\n${alignColumns(aligned)}`;
}
