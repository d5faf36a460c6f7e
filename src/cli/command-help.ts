/** The commands and their help texts, which are made from the flag table. */
import { Command, type Help, Option } from 'commander';
import type { Flag } from './flag';
import {
  cleanupFlags,
  compareFlags,
  configFlags,
  diffFlags,
  preflightFlags,
  renderFlags,
  runFlags,
  statusFlags,
} from './flags';

export type CommandName =
  | 'run'
  | 'render'
  | 'diff'
  | 'compare'
  | 'explain'
  | 'preflight'
  | 'status'
  | 'cleanup'
  | 'config';

interface CommandSpec {
  readonly usage: string;
  readonly about: string;
  readonly flags: readonly Flag[];
  readonly examples: readonly string[];
}

export const commands: Readonly<Record<CommandName, CommandSpec>> = {
  run: {
    usage: '[run] [flags]',
    about: 'Program the kernel of this node so that Services work, and keep it up to date.',
    flags: runFlags,
    examples: [
      'vipwire --config=/var/lib/kube-proxy/config.conf --hostname-override=node-1',
      'vipwire --kubeconfig ~/.kube/config --cluster-cidr 10.244.0.0/16 --dry-run',
      'vipwire --manifests ./services/ --watch',
    ],
  },
  render: {
    usage: 'render [flags] [PATH...]',
    about: 'Print the rules of a node and exit. Changes nothing, and needs no root.',
    flags: renderFlags,
    examples: [
      'kubectl get svc,endpointslices,nodes -A -o yaml | vipwire render -f - --node node-1',
      'vipwire render --kubeconfig ~/.kube/config --output summary',
    ],
  },
  diff: {
    usage: 'diff [flags] [PATH...]',
    about: "Show how vipwire's rules in the kernel differ from what they should be, and whether somebody edited them.",
    flags: diffFlags,
    examples: [
      'vipwire diff --kubeconfig ~/.kube/config --config /var/lib/kube-proxy/config.conf --watch',
      'vipwire diff -f cluster.yaml --node node-1 --cluster-cidr 10.244.0.0/16 --iptables-save rules.txt',
    ],
  },
  explain: {
    usage: 'explain [flags] FROM TO:PORT[/PROTOCOL]',
    about: 'Say where a connection goes and why, with the rules that decide it. Exit 0: it is served, 1: it is not.',
    flags: compareFlags,
    examples: [
      'vipwire explain --kubeconfig ~/.kube/config outside 203.0.113.5:80',
      'vipwire explain -f cluster.yaml --node node-1 --cluster-cidr 10.244.0.0/16 pod shop/web-1 10.96.0.10:80',
      'vipwire explain -f cluster.yaml --node node-1 svc/shop/web',
    ],
  },
  compare: {
    usage: 'compare [flags] [PATH...]',
    about: "Compare the meaning of a node's rules (kube-proxy's in any mode, or vipwire's) with what vipwire would do.",
    flags: compareFlags,
    examples: [
      'vipwire compare --kubeconfig ~/.kube/config --config /var/lib/kube-proxy/config.conf',
      'vipwire compare -f cluster.yaml --node node-1 --cluster-cidr 10.244.0.0/16 --iptables-save rules.txt',
    ],
  },
  preflight: {
    usage: 'preflight [flags]',
    about: 'Say whether this node and its rights are ready for the daemon with these flags. Exit 0: ready, 1: not.',
    flags: preflightFlags,
    examples: ['vipwire preflight --config=/var/lib/kube-proxy/config.conf --hostname-override=node-1'],
  },
  status: {
    usage: 'status [flags]',
    about:
      'Say what the daemon on this node does: rules, watches, errors, warnings. Exit 0: all is well, 1: it is not.',
    flags: statusFlags,
    examples: ['kubectl -n kube-system exec ds/vipwire -- vipwire status'],
  },
  cleanup: {
    usage: 'cleanup [flags]',
    about:
      'Remove what vipwire and kube-proxy, of any mode and version, left in the kernel; name what is kept. Exit 0: all is gone.',
    flags: cleanupFlags,
    examples: [],
  },
  config: {
    usage: 'config check FILE',
    about: 'Say what is wrong with a configuration file, and what it changes. Exit 0: good, 2: wrong.',
    flags: configFlags,
    examples: [
      'vipwire config check /var/lib/kube-proxy/config.conf',
      "kubectl -n kube-system get cm kube-proxy -o jsonpath='{.data.config\\.conf}' | vipwire config check -",
    ],
  },
};

/** A longer term gets a line of its own. */
const termWidth = 33;

function termOf(flag: Flag): string {
  const short = flag.short === undefined || flag.short === flag.name ? '' : `-${flag.short}, `;
  const dashes = flag.short === flag.name ? '-' : '--';
  return `${short}${dashes}${flag.name}${flag.placeholder === '' ? '' : ` ${flag.placeholder}`}`;
}

/**
 * Makes the commander command that parses the output of normalizeArguments: every flag takes a value, and a flag that is repeated
 * collects all its values.
 */
export function buildCommand(name: CommandName, columns: number): Command {
  const { usage, about, flags, examples } = commands[name];
  const command = new Command('vipwire').usage(usage).description(about).helpOption(false).argument('[PATH...]');
  const terms = new Map<string, string>();
  for (const flag of flags) {
    const option = new Option(`--${flag.name} <value>`, flag.help).helpGroup(`${flag.group}:`);
    // Against commander's types, there is no earlier value at the first time.
    option.argParser((value, earlier: readonly string[] | undefined) => [...(earlier ?? []), value]);
    terms.set(flag.name, termOf(flag));
    command.addOption(option);
  }
  command.configureHelp({
    helpWidth: Math.min(Math.max(columns, 60), 120),
    optionTerm: (option) => terms.get(option.name()) ?? option.flags,
    optionDescription: (option) => option.description,
    visibleArguments: () => [],
    padWidth: () => termWidth,
    formatItem,
  });
  if (examples.length > 0)
    command.addHelpText('after', `\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}`);
  return command.exitOverride().configureOutput({ writeErr: () => undefined, writeOut: () => undefined });
}

function formatItem(term: string, width: number, description: string, helper: Help): string {
  const indent = ' '.repeat(width + 4);
  const lines = helper.boxWrap(description, (helper.helpWidth ?? 80) - indent.length).split('\n');
  const start = term.length > width ? `  ${term}\n${indent}` : `  ${term.padEnd(width)}  `;
  return start + lines.join(`\n${indent}`);
}

export function printHelp(name: CommandName, columns: number): string {
  const command = buildCommand(name, columns);
  let out = '';
  command.configureOutput({ writeOut: (text) => (out += text) }).outputHelp();
  return `${out.trimEnd()}\n`;
}

export function printOverview(): string {
  return `vipwire: a Linux service proxy for Kubernetes that replaces kube-proxy

Usage: vipwire [COMMAND] [flags]

Commands:
${Object.entries(commands)
  .map(([name, { about }]) => `  ${name.padEnd(9)} ${about}`)
  .join('\n')}

Without a command, vipwire runs the daemon. It takes kube-proxy's flags and configuration file.
For the flags of a command: vipwire run --help, vipwire render --help ...
`;
}
