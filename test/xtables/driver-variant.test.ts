import { OpenQuestions } from '../../src/telemetry/open-questions';
import { createLogger } from '../../src/telemetry/logger';
import { askFamily, detectVariant } from '../../src/xtables/driver-variant';
import type { Variant } from '../../src/xtables/variant';
import { type ScriptedAnswer, ScriptedTools, toolFailure as failure } from '../support/scripted-tools';

class Machine {
  readonly lines: string[] = [];
  private readonly log = createLogger({ verbosity: 0, format: 'json' }, (line) => this.lines.push(line));
  readonly questions = new OpenQuestions(this.log);
  pauses = 0;

  /** @param answer of a command, at each time that all are asked, from 0 on. */
  async detect(answer: (command: string, asked: number) => ScriptedAnswer | undefined): Promise<{
    variant: Variant | undefined;
    commands: string[];
  }> {
    const script = new ScriptedTools((command) => answer(command, this.pauses));
    const clock = {
      sleep: () => {
        this.pauses++;
        return Promise.resolve();
      },
    };
    const variant = await detectVariant({
      run: script.run,
      wanted: 'auto',
      log: this.log,
      questions: this.questions,
      patience: { clock, pauseMs: 1000, limitMs: 60_000 },
    });
    return { variant, commands: script.calls.map(({ command }) => command) };
  }

  said(text: string): string[] {
    return this.lines.filter((line) => line.includes(text));
  }
}

const kubeProxy = '*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT';
const mangleOfOurs = '*filter\n:KUBE-FORWARD - [0:0]\nCOMMIT';
const incompatible = failure('x', 1, "iptables v1.8.9 (nf_tables): table `nat' is incompatible, use 'nft' tool.");

test('neither is installed', async () => {
  expect((await new Machine().detect(() => undefined)).variant).toBeUndefined();
});

test('by what both hold, and the other one is warned of', async () => {
  const machine = new Machine();
  const saves: Record<string, string> = {
    'iptables-nft-save': kubeProxy,
    'iptables-legacy-save': '*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT',
    'iptables --version': 'iptables v1.8.9 (nf_tables)',
  };
  expect((await machine.detect((command) => saves[command] ?? '')).variant).toBe('legacy');
  expect(machine.lines).toHaveLength(1);
  expect(machine.lines[0]).toContain('"otherChains":1');
});

test('a kernel without nf_tables has the other variant', async () => {
  const machine = new Machine();
  const { variant } = await machine.detect((command) =>
    command.startsWith('iptables-nft ')
      ? failure('iptables-nft', 1, 'iptables: Failed to initialize nft: Protocol not supported')
      : '',
  );
  expect(variant).toBe('legacy');
  expect(machine.lines).toEqual([]);
});

describe('rules of nft in a table', () => {
  test('leave the variant in use: tables that can be read tell', async () => {
    const machine = new Machine();
    const { variant } = await machine.detect((command) => {
      if (command.startsWith('iptables-nft -')) return '';
      if (command.startsWith('iptables-nft ')) return incompatible;
      if (command === 'iptables-nft-save') return `# Table \`nat' is incompatible, use 'nft' tool.\n${mangleOfOurs}`;
      return command === 'iptables-legacy-save' ? kubeProxy : '';
    });
    expect(variant).toBe('nft');
    expect(machine.pauses).toBe(0);
    expect(machine.said('cannot read nat')).toHaveLength(1);
  });

  test('in every table do not move a restart to the other variant', async () => {
    const machine = new Machine();
    const { variant } = await machine.detect((command) => {
      if (command.startsWith('iptables-nft ')) return incompatible;
      if (command !== 'iptables-nft-save') return '';
      return ['nat', 'filter', 'mangle']
        .map((table) => `# Table \`${table}' is incompatible, use 'nft' tool.`)
        .join('\n');
    });
    expect(variant).toBe('nft');
  });
});

describe('a variant that cannot be read', () => {
  const faults = [
    ['fails', failure('x', 4, 'Could not fetch rule set generation id: Resource temporarily unavailable')],
    ['does not answer', failure('x', undefined, 'timed out')],
    ['crashes', failure('x', undefined, '')],
    ['speaks words of another version', failure('x', 3, 'tables gesperrt')],
  ] as const;

  test.each(faults)('is asked again, and used once it tells: it %s', async (_, error) => {
    const machine = new Machine();
    const { variant } = await machine.detect((command, asked) => {
      if (command.startsWith('iptables-nft ') && asked < 3) return error;
      return command === 'iptables-nft-save' ? kubeProxy : '';
    });
    expect(variant).toBe('nft');
    expect(machine.pauses).toBe(3);
    expect(machine.said('cannot tell which iptables variant')).toHaveLength(1);
    expect(machine.questions.list()).toEqual([]);
  });

  test.each(faults)('is not left for the other one: it %s for good', async (_, error) => {
    const machine = new Machine();
    const { variant } = await machine.detect((command) => {
      if (command.startsWith('iptables-nft')) return error;
      return command === 'iptables --version' ? 'iptables v1.8.9 (nf_tables)' : '';
    });
    expect(variant).toBe('nft');
    expect(machine.pauses).toBe(15);
    expect(machine.said('going by what is known')).toHaveLength(1);
  });

  test('is left where our rules are in the other one', async () => {
    const machine = new Machine();
    const { variant } = await machine.detect((command) => {
      if (command.startsWith('iptables-nft')) return faults[0][1];
      return command === 'iptables-legacy-save' ? kubeProxy : '';
    });
    expect(variant).toBe('legacy');
    expect(machine.said('Resource temporarily unavailable').length).toBeGreaterThan(0);
  });

  test('is not waited for where rights are missing: they do not come', async () => {
    const machine = new Machine();
    await machine.detect(() => failure('x', 4, 'Permission denied (you must be root)'));
    expect(machine.pauses).toBe(0);
  });
});

test('asks the legacy tools for no table: that would load it into the kernel', async () => {
  const { commands } = await new Machine().detect(() => '');
  expect(commands.filter((command) => command.includes('legacy'))).toEqual(['iptables-legacy-save']);
});

describe('whether a family can be used', () => {
  const ask = (answer: ScriptedAnswer | undefined): ReturnType<typeof askFamily> =>
    askFamily(new ScriptedTools(() => answer).run, 'nft', 'IPv6');

  test('it can, also with rules of nft in its table: they are written beside', async () => {
    expect(await ask('-P POSTROUTING ACCEPT')).toEqual({ kind: 'found', value: true });
    expect(await ask(incompatible)).toEqual({ kind: 'found', value: true });
  });

  test('it cannot be told: in the words of the tool', async () => {
    expect(await ask(failure('ip6tables-nft', 71, 'ip6tables: out of order'))).toEqual({
      kind: 'unknown',
      reason: 'ip6tables-nft: exit 71 after 3 ms: ip6tables: out of order',
    });
  });

  test('there is no such tool', async () => {
    expect(await ask(undefined)).toEqual({ kind: 'absent' });
  });
});
