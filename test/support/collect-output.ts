import type { ChildProcessWithoutNullStreams } from 'node:child_process';

interface Collected {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Returns everything that a process prints from now on, once it has ended. */
export function collectOutput(child: ChildProcessWithoutNullStreams): Promise<Collected> {
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}
