/**
 * Kernel settings of this network namespace, by their path under /proc/sys: `net/ipv4/conf/all/route_localnet`. Settings that
 * are elsewhere have their whole path: `/sys/module/nf_conntrack/parameters/hashsize`.
 */
import { access, constants, readFile, writeFile } from 'node:fs/promises';

/** missing: this kernel (or a module that is not loaded) has no such setting. refused: not a value for it. */
export type SysctlProblem = 'missing' | 'read-only' | 'refused';

export class SysctlError extends Error {
  override readonly name = 'SysctlError';
  constructor(
    readonly sysctl: string,
    readonly kind: SysctlProblem,
    options: ErrorOptions,
  ) {
    super(`sysctl ${sysctl}: ${kind}`, options);
  }
}

function asSysctlError(sysctl: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return new SysctlError(sysctl, 'missing', { cause: error });
  // A container's /proc/sys, one without root, or what only the first network namespace may set.
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM' || code === 'ENOTSUP')
    return new SysctlError(sysctl, 'read-only', { cause: error });
  if (code === 'EINVAL' || code === 'ERANGE') return new SysctlError(sysctl, 'refused', { cause: error });
  return error;
}

function fileOf(sysctl: string): string {
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

/** Whether a value that it takes could be written. */
export function isSysctlWritable(sysctl: string): Promise<boolean> {
  return access(fileOf(sysctl), constants.W_OK).then(
    () => true,
    () => false,
  );
}
