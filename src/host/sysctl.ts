/**
 * Kernel settings of this network namespace, by their path under /proc/sys: `net/ipv4/conf/all/route_localnet`. A setting that is
 * elsewhere has its full path: `/sys/module/nf_conntrack/parameters/hashsize`.
 */
import { constants, open, readFile, writeFile } from 'node:fs/promises';
import { absent, type Answer, found, unknown } from '../model/answer';
import { errorCode } from '../model/error-message';

/**
 * missing: this kernel has no such setting, or its module is not loaded. read-only: its file system is mounted read-only. not
 * permitted: a right is missing, which explainSysctl names. refused: the kernel does not take the value.
 */
export type SysctlProblem = 'missing' | 'read-only' | 'not permitted' | 'refused';

export class SysctlError extends Error {
  override readonly name = 'SysctlError';
  constructor(
    readonly sysctl: string,
    readonly kind: SysctlProblem,
    options: ErrorOptions,
  ) {
    super(`sysctl ${sysctl}: ${kind}`, options);
  }

  /** The name of errno, such as `EACCES`; '' where the kernel was not asked. */
  get code(): string {
    return errorCode(this.cause);
  }
}

const problems: Readonly<Record<string, SysctlProblem>> = {
  ENOENT: 'missing',
  ENOTDIR: 'missing',
  EROFS: 'read-only',
  EACCES: 'not permitted',
  EPERM: 'not permitted',
  // Only the first network namespace may set it.
  ENOTSUP: 'not permitted',
  EINVAL: 'refused',
  ERANGE: 'refused',
};

function asSysctlError(sysctl: string, error: unknown): unknown {
  const problem = problems[errorCode(error)];
  return problem === undefined ? error : new SysctlError(sysctl, problem, { cause: error });
}

export function fileOf(sysctl: string): string {
  return sysctl.startsWith('/') ? sysctl : `/proc/sys/${sysctl}`;
}

/** Returns the value without the final newline. Throws SysctlError. */
export async function readSysctl(sysctl: string): Promise<string> {
  try {
    return (await readFile(fileOf(sysctl), 'utf8')).trim();
  } catch (error) {
    throw asSysctlError(sysctl, error);
  }
}

/** The value; absent where this kernel has no such setting, or the module that has it is not loaded. */
export async function askSysctl(sysctl: string): Promise<Answer<string>> {
  try {
    return found((await readFile(fileOf(sysctl), 'utf8')).trim());
  } catch (error) {
    return problems[errorCode(error)] === 'missing' ? absent : unknown(error);
  }
}

/**
 * Writes the value only where it differs, so that a read-only /proc/sys with the right value is not an error. Returns whether it
 * wrote. Throws SysctlError.
 */
export async function writeSysctl(sysctl: string, value: string): Promise<boolean> {
  if ((await readSysctl(sysctl)) === value) return false;
  try {
    await writeFile(fileOf(sysctl), value);
    return true;
  } catch (error) {
    throw asSysctlError(sysctl, error);
  }
}

/** Returns why the setting cannot be written, or undefined. It only opens the file, and writes nothing. */
export async function checkSysctl(sysctl: string): Promise<SysctlError | undefined> {
  try {
    await (await open(fileOf(sysctl), constants.O_WRONLY)).close();
    return undefined;
  } catch (error) {
    const problem = asSysctlError(sysctl, error);
    if (problem instanceof SysctlError) return problem;
    throw error;
  }
}
