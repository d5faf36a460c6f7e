import { stat } from 'node:fs/promises';
import { type Absent, absent, type Answer, type Found, found, type Unknown, unknown } from '../model/answer';
import { errorCode } from '../model/error-message';
import { CommandError, type RunCommand } from './command';

/**
 * Loads the modules and what they need. Returns the modules that cannot be loaded, because they are not there, are built in, or may
 * not be loaded from here. Never throws.
 */
export async function loadModules(run: RunCommand, names: readonly string[]): Promise<string[]> {
  const failed: string[] = [];
  for (const name of names)
    await run('modprobe', ['-q', name]).catch(() => {
      failed.push(name);
    });
  return failed;
}

/** absent: modprobe refused, or there is no modprobe, with the reason. unknown: modprobe did not come to an answer. */
export async function loadModule(
  run: RunCommand,
  name: string,
): Promise<Found<string> | (Absent & { readonly reason: string }) | Unknown> {
  try {
    await run('modprobe', [name]);
    return found(name);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return error.notFound || error.exitCode !== undefined ? { kind: 'absent', reason: error.message } : unknown(error);
  }
}

/** Whether the module is loaded, or built in with parameters of its own. */
export async function askModule(module: string): Promise<Answer<true>> {
  try {
    await stat(`/sys/module/${module}`);
    return found(true);
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? absent : unknown(error);
  }
}
