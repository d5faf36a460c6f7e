/** The program as it is shipped. Each test file has a folder of its own for it, and it runs without any tool of the machine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Bundle {
  private constructor(readonly folder: string) {}

  static make(): Bundle {
    const folder = mkdtempSync(join(tmpdir(), 'vipwire-cli-'));
    for (const name of ['package.json', 'bin', 'src', 'node_modules', 'dist'])
      symlinkSync(resolve(name), join(folder, name));
    return new Bundle(folder);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** `tools` is the whole PATH. By default it is empty. */
  start(args: readonly string[], tools = join(this.folder, 'no-tools')): ChildProcess {
    const env = { PATH: tools, HOME: this.folder };
    return spawn(process.execPath, [join(this.folder, 'dist', 'vipwire.cjs'), ...args], { cwd: this.folder, env });
  }

  run(args: readonly string[], { input = '', tools }: { input?: string; tools?: string } = {}): Promise<Ended> {
    const child = this.start(args, tools);
    child.stdin?.end(input);
    return ended(child);
  }
}

/** Everything that it printed until it ended. */
export function ended(child: ChildProcess): Promise<Ended> {
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((done) => child.on('close', (code) => done({ code, stdout, stderr })));
}
