/** kube-proxy's grammar of flags, which is that of Go's pflag. */
import type { Flag } from './flag';

function longName(token: string): string {
  return token.slice(2).replaceAll('_', '-');
}

function findFlag(token: string, flags: readonly Flag[]): Flag | undefined {
  if (token.startsWith('--')) return flags.find((flag) => flag.name === longName(token));
  return flags.find((flag) => flag.short === token[1]);
}

/**
 * Rewrites every form of a flag to `--name=value`: `_` for `-` in names, `--flag` for `--flag=true`, `-v2`, `-v=2`, `-v 2`, and
 * values that begin with a dash. It does not change unknown flags, flags without the value that they need, and everything after
 * `--`.
 */
export function normalizeArguments(argv: readonly string[], flags: readonly Flag[]): readonly string[] {
  const out: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const token = argv[i] ?? '';
    if (token === '--') return [...out, ...argv.slice(i)];
    if (!/^-./.test(token)) {
      out.push(token);
      continue;
    }
    const long = token.startsWith('--');
    const equals = token.indexOf('=');
    const head = long ? token.slice(0, equals < 0 ? undefined : equals) : token.slice(0, 2);
    const flag = findFlag(head, flags);
    if (flag === undefined) {
      out.push(long ? `--${longName(head)}` : token);
      continue;
    }
    const tail = token.slice(head.length);
    if (tail !== '') out.push(`--${flag.name}=${tail.replace(/^=/, '')}`);
    else if (flag.valueOnlyAfterEquals) out.push(`--${flag.name}=true`);
    else if (i + 1 < argv.length) out.push(`--${flag.name}=${argv[++i] ?? ''}`);
    else out.push(`--${flag.name}`);
  }
  return out;
}

/** Whether there is `--help` or `-h` anywhere. Help is printed whatever else is wrong with the command line. */
export function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end < 0 ? undefined : end).some((token) => /^(-h|--help(=true)?)$/.test(token));
}
