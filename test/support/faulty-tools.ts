/** Stand-ins for tools, first on the PATH of a proxy. They fail in the way that a test asks for. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * `fails`: a message and an exit code of its own. `hangs`: for longer than anybody waits. `nothing` and `half`: so much of what the
 * real tool prints, with exit code 0. `words`: the output of another version. `crashes`: it ends by a signal.
 */
export type Fault = 'fails' | 'hangs' | 'nothing' | 'half' | 'words' | 'crashes';

const real = '"$real" "$@"';
const scripts: Readonly<Record<Fault, string>> = {
  fails: `echo "$tool: out of order" >&2; exit 71`,
  hangs: 'exec sleep 600',
  nothing: `${real} > /dev/null 2>&1; exit 0`,
  half: `${real} > out.$$; head -c $(($(wc -c < out.$$) / 2)) out.$$; exit 0`,
  words: `echo "$tool: befehl nicht ausgefuehrt" >&2; exit 3`,
  crashes: 'kill -SEGV $$',
};

export class FaultyTools {
  private readonly state: string;
  private readonly bin: string;

  constructor(directory: string, tools: readonly string[]) {
    this.state = join(directory, 'faulty');
    this.bin = join(this.state, 'bin');
    mkdirSync(this.bin, { recursive: true });
    for (const tool of tools) {
      const script = `#!/bin/sh
tool=${tool}; real=$(PATH=\${PATH#*:} command -v $tool); cd '${this.state}'
echo "$*" >> calls.$tool
if [ -e fault.$tool ]; then . ./fault.$tool; fi
exec ${real}
`;
      writeFileSync(join(this.bin, tool), script, { mode: 0o755 });
      writeFileSync(join(this.state, `calls.${tool}`), '');
    }
  }

  /** What the proxy's environment needs. */
  get env(): Readonly<Record<string, string>> {
    return { PATH: `${this.bin}:${process.env['PATH'] ?? ''}` };
  }

  /** Applies from now on. Calls whose arguments do not match reach the real tool. */
  break(tool: string, fault: Fault, ofArguments = '*'): void {
    writeFileSync(join(this.state, `fault.${tool}`), `case "$*" in ${ofArguments}) ${scripts[fault]} ;; esac\n`);
  }

  mend(tool: string): void {
    rmSync(join(this.state, `fault.${tool}`), { force: true });
  }

  calls(tool: string): number {
    return readFileSync(join(this.state, `calls.${tool}`), 'utf8').split('\n').length - 1;
  }
}
