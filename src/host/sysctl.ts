/**
 * Kernel settings of this network namespace, by their path under /proc/sys: `net/ipv4/conf/all/route_localnet`. Settings that
 * are elsewhere have their whole path: `/sys/module/nf_conntrack/parameters/hashsize`.
 */
import { errorCode } from '../model/error-message';
import { constants, open, readFile, writeFile } from 'node:fs/promises';
import { absent, type Answer, found, unknown } from '../model/answer';

/**
 * missing: this kernel (or a module that is not loaded) has no such setting. read-only: it is mounted so. not permitted: a right is
 * missing, which explainSysctl names. refused: not a value for it.
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

  /** `EACCES`; '' where the kernel was not asked. */
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
  // What the first network namespace alone may set.
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

/** Without the final newline. Throws SysctlError. */
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
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ENOTDIR' ? absent : unknown(error);
  }
}

/** Writes only a value that differs, so that a read-only /proc/sys with the right one will do; tells whether it wrote. Throws SysctlError. */
export async function writeSysctl(sysctl: string, value: string): Promise<boolean> {
  if ((await readSysctl(sysctl)) === value) return false;
  try {
    await writeFile(fileOf(sysctl), value);
    return true;
  } catch (error) {
    throw asSysctlError(sysctl, error);
  }
}

/** Why it cannot be written, as far as opening it tells, which writes nothing; undefined: it can. */
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
