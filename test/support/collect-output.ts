import type { ChildProcessWithoutNullStreams } from 'node:child_process';

interface Collected {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** All that a process says from now on, when it has ended. */
export function collectOutput(child: ChildProcessWithoutNullStreams): Promise<Collected> {
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}
