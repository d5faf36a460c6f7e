/** A node whose tables hold rules of nft that iptables cannot print. */
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { CommandError, type RunCommand } from '../../src/host/command';
import { IptablesDriver } from '../../src/xtables/driver';
import { FakeNfTables } from '../support/fake-nf-tables';
import { clusterIP, endpoint, plan, service, servicePort } from '../support/plans';
import { iptablesSettings } from '../support/settings';

const web = service([
  servicePort('web', { frontends: [clusterIP('10.96.0.10')], clusterEndpoints: [endpoint('10.244.1.2')] }),
]);

interface Tool {
  /** What iptables-nft-save prints instead of the real rules, and how it ends. */
  save?: (args: readonly string[]) => string | CommandError;
  /** Whether iptables-nft-restore knows `-S`. */
  showsChains: boolean;
  /** Where the save prints what it does not understand. */
  notesOn: 'stdout' | 'stderr';
}

export class NativeNode {
  readonly kernel = new FakeNfTables();
  readonly tool: Tool = { showsChains: true, notesOn: 'stdout' };
  writes = 0;

  constructor() {
    for (const chain of ['INPUT', 'FORWARD', 'OUTPUT']) this.kernel.chain('filter', chain);
    for (const chain of ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING']) this.kernel.chain('nat', chain);
  }

  driver(): IptablesDriver {
    const driver = new IptablesDriver('IPv4', 'nft', this.run, (file, args) => ({ file, args }));
    driver.tables.openNfTables = () => this.kernel;
    return driver;
  }

  /** As a process that has just started. */
  async started(): Promise<IptablesBackend> {
    const backend = new IptablesBackend('IPv4', iptablesSettings, this.driver());
    await backend.read();
    backend.render(plan('IPv4', [web]));
    await this.round(backend);
    return backend;
  }

  /** What is not as it should be is written; true where there was something. */
  async round(backend: IptablesBackend): Promise<boolean> {
    await backend.read();
    const steps = backend.diff();
    if (steps !== undefined) await backend.apply(steps);
    return steps !== undefined;
  }

  /** Jumps and chains of ours, as they should be: found by what a node without native rules has. */
  ownRules(): string[] {
    return [...this.kernel.tables].flatMap(([table, chains]) =>
      [...chains].flatMap(([chain, rules]) =>
        rules
          .filter(({ text }) => chain.startsWith('KUBE-') || / -j KUBE-/.test(` ${text}`))
          .map(({ text }) => `${table} ${chain} ${text}`),
      ),
    );
  }

  private readonly run: RunCommand = (file, args, options = {}) => {
    const fail = (exitCode: number, stderr: string): Promise<never> =>
      Promise.reject(new CommandError(file, { exitCode, stderr, durationMs: 3 }));
    if (file.endsWith('-save')) {
      const printed = this.tool.save?.(args) ?? this.kernel.print();
      if (printed instanceof CommandError) return Promise.reject(printed);
      const isNote = (line: string): boolean => line.startsWith('# Table');
      const lines = printed.split('\n');
      const toErr = this.tool.notesOn === 'stderr';
      for (const line of lines) if (!toErr || !isNote(line)) options.onLine?.(line);
      return Promise.resolve({ stdout: '', stderr: toErr ? lines.filter(isNote).join('\n') : '', durationMs: 1 });
    }
    const input = options.input ?? '';
    if (/^-S /m.test(input)) {
      if (!this.tool.showsChains) return fail(2, "iptables-nft-restore: unknown option '-S'");
      const [, table = ''] = /^\*(\w+)$/m.exec(input) ?? [];
      for (const [, chain = ''] of input.matchAll(/^-S (\S+)$/gm)) {
        const lines = this.kernel.show(table, chain);
        if (lines === undefined)
          return fail(1, `chain \`${chain}' in table \`${table}' is incompatible, use 'nft' tool.`);
        for (const line of lines) options.onLine?.(line);
      }
      return Promise.resolve({ stdout: '', durationMs: 1 });
    }
    this.writes++;
    try {
      this.kernel.restore(input);
      return Promise.resolve({ stdout: '', durationMs: 1 });
    } catch (error) {
      return fail(3, (error as Error).message);
    }
  };
}
