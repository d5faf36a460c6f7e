import { errorCode } from '../model/error-message';
import { stat } from 'node:fs/promises';
import { type Absent, absent, type Answer, type Found, found, type Unknown, unknown } from '../model/answer';
import { CommandError, type RunCommand } from './command';

/** Loads the modules, and what they need. Returns those that cannot be: not there, built in, or not for us to load. Never throws. */
export async function loadModules(run: RunCommand, names: readonly string[]): Promise<string[]> {
  const failed: string[] = [];
  for (const name of names)
    await run('modprobe', ['-q', name]).catch(() => {
      failed.push(name);
    });
  return failed;
}

/** absent with the reason: modprobe said no, or there is none. unknown: it did not come to an answer. */
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

/** Whether it is loaded, or built in with parameters of its own. */
export async function askModule(module: string): Promise<Answer<true>> {
  try {
    await stat(`/sys/module/${module}`);
    return found(true);
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? absent : unknown(error);
  }
}
