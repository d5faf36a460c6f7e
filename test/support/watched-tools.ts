/**
 * Stand-ins for the node's iptables tools, first on the proxy's PATH. They count the calls, and they die, wait or fail when a
 * test says so. The real tool does the work.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IptablesVariant } from './lab/proxied-node';

/**
 * When a process is killed during one of its writes, which goes on without it. `cut`: before the tool has read its input, which may
 * then end anywhere. `whole`: after that. `written`: after the tool has written and before the process knows.
 */
export type Death = 'cut' | 'whole' | 'written';

const real = '"$real" "$@"';
/** The input of a write. Its first line has been read when the orders are followed. */
const input = `{ printf '%s\\n' "$first"; cat; }`;
const dawdle = 'echo $$ > orphan; kill -9 $PPID; sleep 0.7';
const deaths: Readonly<Record<Death, string>> = {
  cut: `${dawdle}; ${input} | ${real}; exit`,
  whole: `${input} > input; ${dawdle}; exec ${real} < input`,
  written: `${input} | ${real} || exit; ${dawdle}; exit 0`,
};

export class WatchedTools {
  private readonly state: string;
  private readonly bin: string;

  constructor(directory: string, variant: IptablesVariant) {
    this.state = join(directory, 'tools');
    this.bin = join(this.state, 'bin');
    mkdirSync(this.bin, { recursive: true });
    for (const tool of [`iptables-${variant}-restore`, `iptables-${variant}-save`])
      writeFileSync(join(this.bin, tool), this.script(tool), { mode: 0o755 });
    this.obey('');
  }

  /** What the proxy's environment needs. */
  get env(): Readonly<Record<string, string>> {
    return { PATH: `${this.bin}:${process.env['PATH'] ?? ''}` };
  }

  /**
   * A proxy may start a tool before it has anything to write. The orders that apply are those of the moment when the input arrives.
   * A check of the canary rules uses the same tool and does not count as a write.
   */
  private script(tool: string): string {
    const found = `real=$(PATH=\${PATH#*:} command -v ${tool}); cd '${this.state}'`;
    const steps = tool.endsWith('-save')
      ? ['echo >> reads', `exec ${real}`]
      : [
          `case "$*" in '--noflush --wait 5') ;; *) exec ${real} ;; esac`,
          'IFS= read -r first || exit 0',
          'echo >> writes; n=$(wc -l < writes)',
          '. ./orders',
          `${input} | ${real}`,
        ];
    return ['#!/bin/sh', found, ...steps, ''].join('\n');
  }

  /** Shell text that each write runs before the real tool. $n is the number of writes since these orders. */
  private obey(orders: string): void {
    for (const file of ['reads', 'writes']) writeFileSync(join(this.state, file), '');
    for (const file of ['orphan', 'busy']) rmSync(join(this.state, file), { force: true });
    writeFileSync(join(this.state, 'orders'), `${orders}\n`);
  }

  /** From now on the tools do what they should. */
  behave(): void {
    this.obey('');
  }

  /** The n-th write from now on kills its process. */
  kill(at: number, death: Death): void {
    this.obey(`if [ $n = ${at} ]; then ${deaths[death]}; fi`);
  }

  /** The next writes fail. They write nothing, or only the first of their tables. */
  fail(times: number, after: 'nothing' | 'first table' = 'nothing'): void {
    const part = after === 'nothing' ? 'cat > /dev/null' : `${input} | sed '/^COMMIT/q' | ${real}`;
    this.obey(`if [ $n -le ${times} ]; then ${part}; echo 'iptables-restore: out of order' >&2; exit 4; fi`);
  }

  /** A write of Services' chains waits this long before it begins. */
  slow(seconds: number): void {
    this.obey(
      `${input} > input; if grep -q KUBE-SVC- input; then touch busy; sleep ${seconds}; fi; exec ${real} < input`,
    );
  }

  get isBusy(): boolean {
    return existsSync(join(this.state, 'busy'));
  }

  /** The calls since the last orders. */
  count(kind: 'reads' | 'writes'): number {
    return readFileSync(join(this.state, kind), 'utf8').length;
  }

  /** The tool that outlived its process. Undefined if no process was killed. */
  get orphan(): { readonly alive: boolean } | undefined {
    const file = join(this.state, 'orphan');
    if (!existsSync(file)) return undefined;
    const pid = readFileSync(file, 'utf8').trim();
    return { alive: pid !== '' && existsSync(`/proc/${pid}`) };
  }
}
