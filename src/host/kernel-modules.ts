import { access } from 'node:fs/promises';
import type { RunCommand } from './command';

/** Loads the modules, and what they need. Returns those that cannot be: not there, built in, or not for us to load. Never throws. */
export async function loadModules(run: RunCommand, names: readonly string[]): Promise<string[]> {
  const failed: string[] = [];
  for (const name of names)
    await run('modprobe', ['-q', name]).catch(() => {
      failed.push(name);
    });
  return failed;
}

/** Loaded, or built in and with parameters of its own. */
export function isInKernel(module: string): Promise<boolean> {
  return access(`/sys/module/${module}`).then(
    () => true,
    () => false,
  );
}
