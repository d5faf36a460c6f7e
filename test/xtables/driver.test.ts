import type { Family } from '../../src/model/address';
import { absent, type Answer as Told, found, unknown } from '../../src/model/answer';
import { askFamily } from '../../src/xtables/driver-variant';
import { IptablesDriver } from '../../src/xtables/driver';
import { canaryRule } from '../../src/xtables/known-chains';
import { FakeNfTables } from '../support/fake-nf-tables';
import { type ScriptedAnswer, ScriptedTools, toolFailure as failure } from '../support/scripted-tools';

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
  const script = new ScriptedTools(() => '');
  const driver = new IptablesDriver(family, variant, script.run, unlocked);
  driver.tables.openNfTables = () => new FakeNfTables();
  await driver.save();
  await driver.restore(input);
  expect(await askFamily(script.run, variant, family)).toEqual({ kind: 'found', value: true });
  expect(script.calls.map(({ command }) => command)).toEqual([
    `${name}-save`,
    `${name}-restore --noflush --wait 5`,
    `${name} --wait 5 -t nat -S POSTROUTING`,
  ]);
  expect(script.calls[1]?.input).toBe(input);
});

test('a write goes under the lock, a read does not', async () => {
  const script = new ScriptedTools(() => '');
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
    const script = new ScriptedTools(() => failure('flock', 4, stderr));
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
    const script = new ScriptedTools(() => '');
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
    const script = new ScriptedTools(() => error);
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
    const script = new ScriptedTools(() => error);
    const answer = await new IptablesDriver('IPv4', 'nft', script.run, unlocked).canariesStand();
    expect(answer).toEqual(unknown(error));
  });
});

describe('whether the kernel takes a match', () => {
  const probe = async (
    answer: (input: string, call: number) => ScriptedAnswer,
  ): Promise<{ takes: Told<true>; inputs: string[] }> => {
    let calls = 0;
    const script = new ScriptedTools((_, text) => answer(text, ++calls));
    const takes = await new IptablesDriver('IPv4', 'nft', script.run, unlocked).canMatch('-m bpf');
    return { takes, inputs: script.calls.map((call) => call.input ?? '') };
  };
  const refusal = failure('x', 4, 'RULE_APPEND failed (No such file or directory): rule in chain KUBE-SEP-probe');

  test('is tried in a chain that goes at once', async () => {
    expect(await probe(() => '')).toEqual({
      takes: { kind: 'found', value: true },
      inputs: [
        '*nat\n:KUBE-SEP-probe - [0:0]\n-A KUBE-SEP-probe -m bpf -j RETURN\nCOMMIT\n',
        '*nat\n:KUBE-SEP-probe - [0:0]\n-X KUBE-SEP-probe\nCOMMIT\n',
      ],
    });
  });

  test.each([
    ['a library is missing', failure('x', 2, "Couldn't load match `bpf'")],
    ['the kernel refuses it', refusal],
    ['in words of a version to come', failure('x', 99, 'no way')],
  ])('it does not: %s, and goes through without it', async (_, error) => {
    expect((await probe((text) => (text.includes('bpf') ? error : ''))).takes).toEqual({ kind: 'absent' });
  });

  test.each([
    ['the xtables lock is held', failure('x', 4, 'Another app is currently holding the xtables lock')],
    ['there is no right', failure('x', 4, 'Permission denied (you must be root)')],
    ['every write is refused', refusal],
    ['it is killed', failure('x', undefined, '')],
    ['it is missing', failure('x', undefined, '', true)],
  ])('it cannot be told: %s', async (_, error) => {
    const { takes } = await probe(() => error);
    expect(takes.kind).toBe('unknown');
  });

  test('it cannot be told where the tool did not come to its end with the match alone', async () => {
    const { takes } = await probe((text) => (text.includes('bpf') ? failure('x', undefined, 'timed out') : ''));
    expect(takes.kind).toBe('unknown');
  });

  test('a failure that passes is none', async () => {
    const { takes } = await probe((_, call) =>
      call === 1 ? failure('x', 71, 'Resource temporarily unavailable') : '',
    );
    expect(takes.kind).toBe('found');
  });
});
