/** Turns the command line into an invocation. */
import type { KernelRequest } from '../inspect/kernel-node';
import { families, type Family, parseAddress } from '../model/address';
import { UserError } from '../model/user-error';
import { version } from '../model/version';
import type { IptablesVariant } from '../xtables/variant';
import { type CommandName, commands, printHelp, printOverview } from './command-help';
import { asksForHelp } from './flag-grammar';
import { GivenFlags } from './given-flags';
import type {
  CleanupInvocation,
  CompareInvocation,
  ConfigCheckInvocation,
  DiffInvocation,
  ExplainInvocation,
  Invocation,
  PreflightInvocation,
  RenderInvocation,
  RunInvocation,
  StatusInvocation,
} from './invocation';

/** The parts of the process that the command line depends on. */
export interface Surroundings {
  /** process.env, for VIPWIRE_IPTABLES. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Width of the terminal, for help texts. */
  readonly columns?: number | undefined;
}

/**
 * Reads the arguments after `vipwire`. Without a command it is `run`, with kube-proxy's flags and grammar. Throws UserError, one
 * line, for what it does not understand.
 */
export function parseCommandLine(argv: readonly string[], surroundings: Surroundings = {}): Invocation {
  const columns = surroundings.columns ?? 80;
  const [first = '', second = ''] = argv;
  if (first === 'help') return { kind: 'help', text: printHelpOn(second, columns) };
  if (argv.length === 1 && asksForHelp(argv)) return { kind: 'help', text: printOverview() };
  const name = isCommandName(first) ? first : 'run';
  const args = isCommandName(first) ? argv.slice(1) : argv;
  if (asksForHelp(args)) return { kind: 'help', text: printHelp(name, columns) };
  const given = new GivenFlags(name, args);
  if (given.has('version') && given.text('version') !== 'false')
    return { kind: 'version', text: `vipwire ${version}\n` };
  if (name === 'config') return interpretConfig(given);
  if (!['render', 'diff', 'compare', 'explain'].includes(name)) given.refusePaths();
  const variant = surroundings.environment?.['VIPWIRE_IPTABLES'] ?? '';
  if (name === 'render') return interpretRender(given);
  if (name === 'status') return interpretStatus(given);
  if (name === 'preflight') return interpretPreflight(given, variant);
  if (name === 'diff') return interpretDiff(given, variant);
  if (name === 'compare') return interpretCompare(given, variant);
  if (name === 'explain') return interpretExplain(given, variant);
  const path = given.text('write-config-to');
  if (path !== '') return { kind: 'write-config', flags: given.configuration('file', false, 'without ports'), path };
  if (name === 'cleanup' || given.on('cleanup')) return interpretCleanup(given, variant);
  if (given.on('init-only')) return { kind: 'init', flags: given.configuration('file', false) };
  return interpretRun(given, variant);
}

function isCommandName(text: string): text is CommandName {
  return Object.hasOwn(commands, text);
}

function printHelpOn(name: string, columns: number): string {
  if (name === '') return printOverview();
  if (!isCommandName(name))
    throw new UserError(`there is no command "${name}": use ${Object.keys(commands).join(', ')}`);
  return printHelp(name, columns);
}

function interpretConfig({ paths: [what, file, more] }: GivenFlags): ConfigCheckInvocation {
  if (what !== 'check') throw new UserError('vipwire config has one command: vipwire config check FILE');
  if (file === undefined) throw new UserError('vipwire config check needs a file; - is standard input');
  if (more !== undefined) throw new UserError(`unexpected argument "${more}": vipwire config check takes one file`);
  return { kind: 'config-check', file };
}

function interpretRun(given: GivenFlags, variant: string): RunInvocation {
  const manifests = given.list('manifests');
  const watch = given.on('watch');
  if (watch && manifests.length === 0)
    throw new UserError('--watch goes with --manifests: an API server is always watched');
  return {
    kind: 'run',
    flags: given.configuration('file', false),
    manifests,
    watch,
    dryRun: given.on('dry-run'),
    drainLimitMs: readDrainLimit(given),
    iptablesVariant: chooseVariant(given, variant),
    flagTexts: given.all(),
  };
}

function readDrainLimit(given: GivenFlags): number {
  const limitMs = given.duration('ipvs-drain-limit', 3_600_000);
  if (limitMs < 0) throw new UserError('--ipvs-drain-limit: the duration must not be negative');
  return limitMs;
}

function interpretStatus(given: GivenFlags): StatusInvocation {
  return {
    kind: 'status',
    flags: given.configuration('flags', true),
    output: given.choice('output', ['text', 'json'], 'text'),
  };
}

function interpretCleanup(given: GivenFlags, variant: string): CleanupInvocation {
  return {
    kind: 'cleanup',
    flags: given.configuration('file', true),
    iptablesVariant: chooseVariant(given, variant),
  };
}

function interpretPreflight(given: GivenFlags, variant: string): PreflightInvocation {
  return {
    kind: 'preflight',
    flags: given.configuration('file', false),
    output: given.choice('output', ['table', 'json'], 'table'),
    iptablesVariant: chooseVariant(given, variant),
  };
}

function interpretRender(given: GivenFlags): RenderInvocation {
  return {
    kind: 'render',
    flags: given.configuration('flags', false),
    files: [...given.list('filename'), ...given.list('manifests'), ...given.paths],
    node: given.text('node').trim(),
    output: given.choice('output', ['rules', 'json', 'summary'], 'rules'),
    families: chooseFamilies(given),
  };
}

function interpretCompare(given: GivenFlags, variant: string): CompareInvocation {
  return {
    kind: 'compare',
    output: given.choice('output', ['text', 'json'], 'text'),
    ...interpretKernel(given, variant),
  };
}

function interpretExplain(given: GivenFlags, variant: string): ExplainInvocation {
  const { paths } = given;
  const isAlone = paths.length === 1 && /^(svc|pod)\/[^/]+\/[^/]+$/.test(paths[0] ?? '');
  if (!isAlone && (paths.length < 2 || paths.length > 3 || (paths.length === 3 && paths[0] !== 'pod')))
    throw new UserError(
      'vipwire explain takes FROM TO:PORT, svc/NAMESPACE/NAME or pod/NAMESPACE/NAME; FROM: an address, pod NAMESPACE/NAME, node or outside',
    );
  const question = isAlone
    ? { from: paths[0] ?? '', to: '' }
    : { from: paths.slice(0, -1).join(' '), to: paths.at(-1) ?? '' };
  return {
    kind: 'explain',
    output: given.choice('output', ['text', 'json'], 'text'),
    question,
    ...interpretKernel(given, variant),
    files: [...given.list('filename'), ...given.list('manifests')],
  };
}

function interpretDiff(given: GivenFlags, variant: string): DiffInvocation {
  return {
    kind: 'diff',
    output: given.choice('output', ['diff', 'summary', 'json'], 'diff'),
    watch: given.on('watch'),
    ...interpretKernel(given, variant),
  };
}

function interpretKernel(given: GivenFlags, variant: string): KernelRequest {
  const nodeAddresses = given.list('node-addresses').map((text) => {
    const address = parseAddress(text.trim());
    if (address === undefined) throw new UserError(`--node-addresses: "${text}" is not an IP address`);
    return address;
  });
  return {
    flags: given.configuration('flags', false),
    files: [...given.list('filename'), ...given.list('manifests'), ...given.paths],
    node: given.text('node').trim(),
    families: chooseFamilies(given),
    kernelFiles: {
      iptablesSave: given.list('iptables-save'),
      ipvsadm: given.text('ipvsadm'),
      ipset: given.text('ipset'),
      ipvsAddresses: given.text('ipvs-addresses'),
      nft: given.text('nft'),
      recordedDir: given.text('recorded-dir'),
    },
    nodeAddresses,
    iptablesVariant: chooseVariant(given, variant),
  };
}

function chooseFamilies(given: GivenFlags): readonly Family[] {
  const text = given.choice('ip-family', ['IPv4', 'IPv6', 'dual', 'ipv4', 'ipv6', '4', '6'], 'dual');
  return text === 'dual' ? families : [text.endsWith('4') ? 'IPv4' : 'IPv6'];
}

/** The flag decides, then the environment variable, then the default, which is auto. */
function chooseVariant(given: GivenFlags, environment: string): IptablesVariant {
  const variants: readonly IptablesVariant[] = ['nft', 'legacy', 'auto'];
  if (given.has('iptables-variant') || environment === '') return given.choice('iptables-variant', variants, 'auto');
  const found = variants.find((variant) => variant === environment);
  if (found === undefined)
    throw new UserError(`VIPWIRE_IPTABLES: "${environment}" is not one of ${variants.join(', ')}`);
  return found;
}
