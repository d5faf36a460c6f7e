import { parseCommandLine, type Surroundings } from '../../src/cli/command-line';
import type { Invocation, RenderInvocation } from '../../src/cli/invocation';
import { runFlags } from '../../src/cli/flags';
import { version } from '../../src/model/version';
import { refusal, run, words } from './read-line';

function render(line: string): RenderInvocation {
  const invocation = parseCommandLine(words(line));
  if (invocation.kind !== 'render') throw new Error(`it is ${invocation.kind}`);
  return invocation;
}
test('nothing at all is the daemon', () => {
  expect(run('')).toEqual({
    kind: 'run',
    flags: { configFile: '', master: '', settings: {}, names: {}, precedence: 'file', mayBreakRules: false },
    manifests: [],
    watch: false,
    dryRun: false,
    drainLimitMs: 3_600_000,
    iptablesVariant: 'auto',
    flagTexts: expect.objectContaining({ 'iptables-masquerade-bit': '14', 'dry-run': 'false' }) as unknown,
  });
  expect(run('--iptables-masquerade-bit=7 --nodeport-addresses=primary').flagTexts).toMatchObject({
    'iptables-masquerade-bit': '7',
    'nodeport-addresses': 'primary',
    'config-sync-period': '15m0s',
  });
  expect(run('run')).toEqual(run(''));
});

describe('what is not understood is refused in one line', () => {
  test.each([
    ['--proxy-mod=iptables', 'unknown flag --proxy-mod: did you mean --proxy-mode?'],
    ['--hostname_overide=x', 'unknown flag --hostname-overide: did you mean --hostname-override?'],
    ['--zzz', 'unknown flag --zzz'],
    ['-x', 'unknown flag -x'],
    ['--cluster-cidr', 'flag --cluster-cidr needs a value'],
    ['-v', 'flag --v needs a value'],
    ['-v=x', '--v: want a whole number, found "x"'],
    [
      '--v=x --cluster-cidr= --ipvs-udp-timeout=1',
      '--ipvs-udp-timeout: want a duration such as 30s, 1h30m or 100ms, found "1"; --v: want a whole number, found "x"',
    ],
    ['--masquerade-all=maybe', '--masquerade-all: want true or false, found "maybe"'],
    ['--iptables-sync-period=30', '--iptables-sync-period: want a duration such as 30s, 1h30m or 100ms, found "30"'],
    ['--masquerade-all false', 'unexpected argument "false": vipwire run takes only flags'],
    ['--config=x y', 'unexpected argument "y": vipwire run takes only flags'],
    ['-- x', 'unexpected argument "x": vipwire run takes only flags'],
    ['-v=4 render', 'unexpected argument "render": the command comes first, as in vipwire render --help'],
    ['--manifests a b', 'unexpected argument "b": give every path its own --manifests, or put commas between them'],
    ['cleanup x', 'unexpected argument "x": vipwire cleanup takes only flags'],
    ['cleanup --dry-run', 'unknown flag --dry-run'],
    ['--watch', '--watch goes with --manifests: an API server is always watched'],
    ['--iptables-variant=nftables', '--iptables-variant: "nftables" is not one of nft, legacy, auto'],
    ['render -o yaml', '--output: "yaml" is not one of rules, json, summary'],
    [
      'explain 10.96.0.10:80',
      'vipwire explain takes FROM TO:PORT, svc/NAMESPACE/NAME or pod/NAMESPACE/NAME; FROM: an address, pod NAMESPACE/NAME, node or outside',
    ],
    [
      'help me',
      'there is no command "me": use run, render, diff, explain, compare, preflight, status, cleanup, config',
    ],
  ])('%s', (line, message) => {
    expect(refusal(line)).toBe(message);
  });
});

test("vipwire's own flags of the daemon", () => {
  expect(run('--config=c.yaml --master=http://a --manifests a,b --manifests=c --watch --dry-run')).toMatchObject({
    flags: { configFile: 'c.yaml', master: 'http://a' },
    manifests: ['a', 'b', 'c'],
    watch: true,
    dryRun: true,
  });
});

test('--init-only takes the configuration alone', () => {
  expect(parseCommandLine(words('--init-only --proxy-mode=ipvs --config=c.yaml'))).toMatchObject({
    kind: 'init',
    flags: { configFile: 'c.yaml', settings: { mode: 'ipvs' } },
  });
  expect(run('--init-only=false').kind).toBe('run');
});

describe('the variant of iptables', () => {
  const environment = { VIPWIRE_IPTABLES: 'legacy' };
  test.each<[string, Surroundings, string]>([
    ['', {}, 'auto'],
    ['--iptables-variant nft', {}, 'nft'],
    ['', { environment }, 'legacy'],
    ['--iptables-variant=auto', { environment }, 'auto'],
    ['', { environment: { VIPWIRE_IPTABLES: '' } }, 'auto'],
  ])('%s', (line, surroundings, variant) => {
    expect(run(line, surroundings).iptablesVariant).toBe(variant);
  });

  test('of the environment is checked', () => {
    const wrong = { environment: { VIPWIRE_IPTABLES: 'xt' } };
    expect(refusal('', wrong)).toBe('VIPWIRE_IPTABLES: "xt" is not one of nft, legacy, auto');
  });
});

describe('render', () => {
  test('has defaults', () => {
    expect(render('render')).toMatchObject({ files: [], node: '', output: 'rules', families: ['IPv4', 'IPv6'] });
  });

  test.each<[string, Partial<RenderInvocation>]>([
    ['-f a,b --filename=c d', { files: ['a', 'b', 'c', 'd'] }],
    ['-f -', { files: ['-'] }],
    ['-f=- -o json', { files: ['-'], output: 'json' }],
    ['-', { files: ['-'] }],
    ['--output=summary', { output: 'summary' }],
    ['--node Node-1', { node: 'Node-1' }],
    ['--ip-family IPv4', { families: ['IPv4'] }],
    ['--ip_family=ipv6', { families: ['IPv6'] }],
    ['--ip-family 4', { families: ['IPv4'] }],
    ['--ip-family dual', { families: ['IPv4', 'IPv6'] }],
  ])('%s', (line, part) => {
    expect(render(`render ${line}`)).toMatchObject(part);
  });

  test('takes --manifests as the daemon does', () => {
    expect(render('render --manifests a,b --watch -f c').files).toEqual(['c', 'a', 'b']);
  });

  test('lets its flags win over the file', () => {
    expect(render('render --config c --cluster-cidr 10.0.0.0/8').flags).toMatchObject({
      configFile: 'c',
      settings: { clusterCIDR: '10.0.0.0/8' },
      precedence: 'flags',
    });
  });
});

test.each(['cleanup --config=c --iptables-variant=legacy', '--cleanup --config=c --iptables-variant=legacy'])(
  '%s cleans up, whatever the configuration',
  (line) => {
    expect(parseCommandLine(words(line))).toMatchObject({
      kind: 'cleanup',
      flags: { configFile: 'c', mayBreakRules: true },
      iptablesVariant: 'legacy',
    });
  },
);

test('--cleanup=false is the daemon', () => {
  expect(run('--cleanup=false').kind).toBe('run');
});

describe('texts', () => {
  const text = (line: string, columns?: number): string => {
    const invocation: Invocation = parseCommandLine(words(line), { columns });
    if (!('text' in invocation)) throw new Error(`it is ${invocation.kind}`);
    return invocation.text;
  };

  test.each(['--version', '--version=raw', 'run --version', '--config=x --version=true'])('%s', (line) => {
    expect(text(line)).toBe(`vipwire ${version}\n`);
  });

  test.each(['--help', '-h', 'help'])('%s is the overview', (line) => {
    expect(text(line)).toContain('Usage: vipwire [COMMAND] [flags]');
  });

  test.each(['run --help', '--v=2 --help', 'help run', '--nonsense -h'])('%s lists every flag', (line) => {
    const help = text(line);
    for (const { name } of runFlags) expect(help).toMatch(new RegExp(`^  (-., )?--?${name}( |$)`, 'm'));
  });

  test.each([
    ['run', 80],
    ['run', 120],
    ['render', 80],
    ['cleanup', 80],
  ])('the help of %s fits in %d columns and is aligned', (name, columns) => {
    const [lines] = text(`${name} --help`, columns).split('\nExamples:');
    const items = (lines ?? '').split('\n').filter((line) => line.startsWith('  '));
    expect(items.length).toBeGreaterThan(3);
    for (const line of items) {
      expect(line.length).toBeLessThanOrEqual(columns);
      expect(line).toMatch(/^ {2}(-.{0,32} {2,}(?<=^.{37})\S|-\S.{32,}$| {35}\S)/);
    }
  });
});
