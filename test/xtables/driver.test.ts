import { CommandError, type CommandOptions, type RunCommand } from '../../src/host/command';
import type { Family } from '../../src/model/address';
import { absent, found, unknown } from '../../src/model/answer';
import type { Logger } from '../../src/telemetry/log';
import { createLogger } from '../../src/telemetry/logger';
import { detectVariant, IptablesDriver, isFamilyUsable } from '../../src/xtables/driver';
import { canaryRule } from '../../src/xtables/known-chains';
import { FakeNfTables } from '../support/fake-nf-tables';

interface Call {
  readonly command: string;
  readonly input: string | undefined;
}
type Answer = string | CommandError;

/** Tools that answer by their command line; one that nobody scripted is not on this machine. */
class Script {
  readonly calls: Call[] = [];

  constructor(private readonly answer: (command: string, input: string) => Answer | undefined) {}

  readonly run: RunCommand = (file, args, options: CommandOptions = {}) => {
    const command = [file, ...args].join(' ');
    this.calls.push({ command, input: options.input });
    const answer = this.answer(command, options.input ?? '') ?? failure(file, undefined, '', true);
    if (answer instanceof CommandError) return Promise.reject(answer);
    if (options.onLine === undefined) return Promise.resolve({ stdout: answer, durationMs: 1 });
    answer.split('\n').forEach(options.onLine);
    return Promise.resolve({ stdout: '', durationMs: 1 });
  };
}

function failure(file: string, exitCode: number | undefined, stderr: string, notFound = false): CommandError {
  return new CommandError(file, exitCode, stderr, 3, notFound);
}

const unlocked = (file: string, args: readonly string[]): { file: string; args: readonly string[] } => ({ file, args });
const input = '*nat\n:KUBE-SVC-A - [0:0]\n-A KUBE-SVC-A -j KUBE-SVC-B\nCOMMIT\n';

async function messageOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no error',
    (error: unknown) => (error as Error).message,
  );
}

test.each<[Family, 'nft' | 'legacy', string]>([
  ['IPv4', 'nft', 'iptables-nft'],
  ['IPv4', 'legacy', 'iptables-legacy'],
  ['IPv6', 'nft', 'ip6tables-nft'],
  ['IPv6', 'legacy', 'ip6tables-legacy'],
])('%s %s: tools by their full names', async (family, variant, name) => {
  const script = new Script(() => '');
  const driver = new IptablesDriver(family, variant, script.run, unlocked);
  driver.tables.openNfTables = () => new FakeNfTables();
  await driver.save();
  await driver.restore(input);
  expect(await isFamilyUsable(script.run, variant, family)).toBe(true);
  expect(script.calls.map(({ command }) => command)).toEqual([
    `${name}-save`,
    `${name}-restore --noflush --wait 5`,
    `${name} --wait 5 -t nat -S POSTROUTING`,
  ]);
  expect(script.calls[1]?.input).toBe(input);
});

test('a write goes under the lock, a read does not', async () => {
  const script = new Script(() => '');
  const driver = new IptablesDriver('IPv4', 'nft', script.run, (file, args) => ({
    file: 'locked',
    args: [file, ...args],
  }));
  driver.tables.openNfTables = () => new FakeNfTables();
  await driver.save();
  await driver.restore(input);
  expect(script.calls.map(({ command }) => command)).toEqual([
    'iptables-nft-save',
    'locked iptables-nft-restore --noflush --wait 5',
  ]);
});

describe('a write that fails says why and shows the line', () => {
  test.each([
    [
      'nft, while it reads',
      "iptables-nft-restore v1.8.9 (nf_tables): Couldn't load match `nosuch':No such file or directory\n\nError occurred at line: 3\nTry `iptables-nft-restore -h' or 'iptables-nft-restore --help' for more information.",
      [/Couldn't load match `nosuch'/, /-A KUBE-SVC-A -j KUBE-SVC-B/],
    ],
    [
      'nft, while the kernel takes it',
      'iptables-nft-restore v1.8.9 (nf_tables): \nline 3: CHAIN_DEL failed (Device or resource busy): chain KUBE-SVC-A',
      [/Device or resource busy/, /-A KUBE-SVC-A -j KUBE-SVC-B/],
    ],
    ['legacy', 'iptables-restore: line 2 failed', [/line 2 failed/, /:KUBE-SVC-A - \[0:0\]/]],
    ['without a line', 'iptables-restore: out of memory', [/out of memory/]],
    ['a line that is none of ours', 'iptables-restore: line 99 failed', [/line 99 failed/]],
  ])('%s', async (_, stderr, parts) => {
    const script = new Script(() => failure('flock', 4, stderr));
    const message = await messageOf(new IptablesDriver('IPv4', 'nft', script.run, unlocked).restore(input));
    // The tool that failed, not what holds its lock.
    expect(message).toMatch(/^iptables-nft-restore: exit 4 after 3 ms: /);
    for (const part of parts) expect(message).toMatch(part);
    expect(message).not.toContain('\n');
  });

  test('other errors pass as they are', async () => {
    const driver = new IptablesDriver('IPv4', 'nft', () => Promise.reject(new TypeError('x')), unlocked);
    await expect(driver.restore(input)).rejects.toThrow(TypeError);
  });
});

describe('canaries', () => {
  test.each([
    ['nft', 'iptables-nft-restore --noflush'],
    ['legacy', 'iptables-legacy-restore --noflush --test --wait 5'],
  ] as const)('are looked for in both tables, in one call (%s)', async (variant, command) => {
    const script = new Script(() => '');
    expect(await new IptablesDriver('IPv4', variant, script.run, unlocked).canariesStand()).toEqual(found(true));
    expect(script.calls).toEqual([
      {
        command,
        input: ['nat', 'filter'].map((table) => `*${table}\n-C KUBE-PROXY-CANARY ${canaryRule}\nCOMMIT\n`).join(''),
      },
    ]);
  });

  test.each([
    [
      'a rule that is gone',
      failure('x', 1, 'iptables-nft-restore: line 2 failed: Bad rule (does a matching rule exist in that chain?).'),
    ],
    ['a rule that is gone, in legacy words', failure('x', 1, 'iptables-restore: line 2 failed')],
    ['a chain that is gone', failure('x', 2, "Chain 'KUBE-PROXY-CANARY' does not exist")],
  ])('%s is a flush', async (_, error) => {
    const script = new Script(() => error);
    expect(await new IptablesDriver('IPv4', 'nft', script.run, unlocked).canariesStand()).toEqual(absent);
  });

  test.each([
    ['a lock that was not to be had', failure('x', 4, 'Another app is currently holding the xtables lock')],
    [
      'a rule in front that the tool cannot read',
      failure('x', 3, 'Error: cmp sreg undef\nParsing nftables rule failed'),
    ],
    [
      'a chain with such a rule',
      failure('x', 1, "line 2 failed: chain `KUBE-PROXY-CANARY' in table `nat' is incompatible, use 'nft' tool."),
    ],
    ['no right', failure('x', 4, 'Could not fetch rule set generation id: Permission denied (you must be root)')],
    ['a tool that was killed', failure('x', undefined, '')],
    ['a tool that is gone', failure('x', undefined, '', true)],
    ['words that nobody knows', failure('x', 1, 'out of memory')],
  ])('%s says nothing of flushes', async (_, error) => {
    const script = new Script(() => error);
    const answer = await new IptablesDriver('IPv4', 'nft', script.run, unlocked).canariesStand();
    expect(answer).toEqual(unknown(error));
  });
});

describe('whether the kernel takes a match', () => {
  const probe = async (answer: (input: string) => Answer): Promise<{ takes: boolean; inputs: string[] }> => {
    const script = new Script((_, text) => answer(text));
    const takes = await new IptablesDriver('IPv4', 'nft', script.run, unlocked).canMatch('-m bpf');
    return { takes, inputs: script.calls.map((call) => call.input ?? '') };
  };

  test('is tried in a chain that goes at once', async () => {
    expect(await probe(() => '')).toEqual({
      takes: true,
      inputs: [
        '*nat\n:KUBE-SEP-probe - [0:0]\n-A KUBE-SEP-probe -m bpf -j RETURN\nCOMMIT\n',
        '*nat\n:KUBE-SEP-probe - [0:0]\n-X KUBE-SEP-probe\nCOMMIT\n',
      ],
    });
  });

  test('is not, where the tool refuses it', async () => {
    expect((await probe(() => failure('x', 2, "Couldn't load match `bpf'"))).takes).toBe(false);
  });
});

describe('the variant of this machine', () => {
  const warnings = (): { log: Logger; lines: string[] } => {
    const lines: string[] = [];
    return { lines, log: createLogger({ verbosity: 0, format: 'json' }, (line) => lines.push(line)) };
  };
  const kubeProxy = '*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT';

  test('neither', async () => {
    const { log } = warnings();
    expect(await detectVariant(new Script(() => undefined).run, 'auto', log)).toBeUndefined();
  });

  test('by what both hold, and the other one is warned of', async () => {
    const { log, lines } = warnings();
    const saves: Record<string, string> = {
      'iptables-nft-save': kubeProxy,
      'iptables-legacy-save': '*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT',
      'iptables --version': 'iptables v1.8.9 (nf_tables)',
    };
    const script = new Script((command) => saves[command] ?? '');
    expect(await detectVariant(script.run, 'auto', log)).toBe('legacy');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('"otherChains":1');
  });

  test('tools that are there and do not work do not count', async () => {
    const { log } = warnings();
    const script = new Script((command) =>
      command.startsWith('iptables-nft ')
        ? failure('iptables-nft', 4, 'Permission denied')
        : command === 'iptables-legacy-save'
          ? ''
          : undefined,
    );
    expect(await detectVariant(script.run, 'auto', log)).toBe('legacy');
  });

  test('asks the legacy tools for no table: that would load it into the kernel', async () => {
    const { log } = warnings();
    const script = new Script(() => '');
    await detectVariant(script.run, 'auto', log);
    expect(script.calls.map(({ command }) => command).filter((command) => command.includes('legacy'))).toEqual([
      'iptables-legacy-save',
    ]);
  });
});
