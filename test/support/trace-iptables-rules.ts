/** Text of iptables-save, or of iptables-restore, as rules that a connection can be traced through. Knows what a proxy writes; the rest is an error. */
import { addressWidth, cidrContains, type Family, parseCidr } from '../../src/model/address';
import { runFilter } from './trace-iptables-bpf';

/** A packet on its way through the hooks; never changed in place. */
export interface PacketState {
  readonly family: Family;
  readonly protocol: 'tcp' | 'udp' | 'sctp' | 'icmp';
  readonly source: string;
  readonly destination: string;
  /** 0 where the protocol has none. */
  readonly port: number;
  /** '' before an incoming packet's route is known, and where there is none: in OUTPUT, in PREROUTING. */
  readonly inDevice: string;
  readonly outDevice: string;
  readonly mark: number;
  readonly isDnated: boolean;
  /** Lists of xt_recent that have this client by now. */
  readonly recent: ReadonlySet<string>;
  readonly probability: number;
  /** Rules whose matches were looked at. */
  readonly rulesWalked: number;
}

/** What rules ask of the machine. */
export interface MatchContext {
  isLocal(address: string): boolean;
}

export interface Match {
  /** 0, 1 or the chance between. */
  readonly chance: (packet: PacketState, context: MatchContext) => number;
  /** What matching does to the packet. */
  readonly effect?: (packet: PacketState) => PacketState;
}

export type Target =
  | { readonly kind: 'jump'; readonly chain: string }
  | { readonly kind: 'ACCEPT' | 'DROP' | 'REJECT' | 'RETURN' | 'MASQUERADE' }
  | { readonly kind: 'DNAT'; readonly address: string; readonly port: number }
  | { readonly kind: 'MARK'; readonly value: number; readonly mask: number };

export interface Rule {
  readonly matches: readonly Match[];
  /** undefined: the rule only counts. */
  readonly target: Target | undefined;
}

export interface TracedTable {
  readonly chains: Map<string, Rule[]>;
  /** Chains whose policy is DROP. */
  readonly dropping: Set<string>;
}

export type TracedTables = Readonly<Record<'nat' | 'filter', TracedTable>>;

/** Words of a rule; `"in quotes"` is one. */
function splitWords(text: string): string[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(
    ([, quoted, bare]) => bare ?? (quoted ?? '').replaceAll(/\\(.)/g, '$1'),
  );
}

const modules = new Set('tcp udp sctp comment addrtype conntrack mark statistic recent bpf nfacct'.split(' '));
const terminal = ['ACCEPT', 'DROP', 'REJECT', 'RETURN', 'MASQUERADE'] as const;

/** Options of matches that take one value: what they ask. */
const valueMatches: Readonly<Record<string, (value: string) => Match['chance']>> = {
  '-s': (value) => matchAddress('source', value),
  '-d': (value) => matchAddress('destination', value),
  '-i': (value) => matchDevice('inDevice', value),
  '-o': (value) => matchDevice('outDevice', value),
  '-p': (value) => (packet) => Number(packet.protocol === value),
  '--dport': (value) => {
    const [low = 0, high = low] = value.split(':').map(Number);
    return ({ port }) => Number(low <= port && port <= high);
  },
  '--src-type': (value) => matchType('source', value),
  '--dst-type': (value) => matchType('destination', value),
  '--ctstate': (value) => {
    const states = value.split(',');
    for (const state of states)
      if (!['NEW', 'INVALID', 'RELATED', 'ESTABLISHED', 'DNAT'].includes(state)) throw unknown(`state ${state}`);
    return ({ isDnated }) => Number(states.includes('NEW') || (isDnated && states.includes('DNAT')));
  },
  // Of rules that only count.
  '--ctorigdst': () => () => 1,
  '--mark': (value) => {
    const [wanted = 0, mask = 0xffffffff] = value.split('/').map(Number);
    return ({ mark }) => Number((mark & mask) === (wanted | 0));
  },
  '--bytecode': (value) => (packet) => Number(runFilter(value, packet) !== 0),
};

function matchAddress(end: 'source' | 'destination', value: string): Match['chance'] {
  const cidr = parseCidr(value.includes('/') ? value : `${value}/${value.includes(':') ? 128 : 32}`);
  if (cidr === undefined) throw unknown(`address ${value}`);
  if (cidr.prefix === addressWidth(cidr.family)) return (packet) => Number(packet[end] === cidr.address);
  return (packet) => Number(cidrContains(cidr, packet[end]));
}

function matchDevice(end: 'inDevice' | 'outDevice', value: string): Match['chance'] {
  if (!value.endsWith('+')) return (packet) => Number(packet[end] === value);
  return (packet) => Number(packet[end].startsWith(value.slice(0, -1)));
}

function matchType(end: 'source' | 'destination', value: string): Match['chance'] {
  if (value !== 'LOCAL') throw unknown(`address type ${value}`);
  return (packet, context) => Number(context.isLocal(packet[end]));
}

function unknown(what: string): Error {
  return new Error(`the tracer does not know ${what}`);
}

/** Without `-A CHAIN`. Tables are parsed again and again, with few rules that are new. */
const parsedRules = new Map<string, Rule>();

class RuleParser {
  private readonly words: string[];
  private at = 0;
  private readonly matches: Match[] = [];
  private target: Target | undefined;

  constructor(private readonly text: string) {
    this.words = splitWords(text);
  }

  parse(): Rule {
    try {
      while (this.at < this.words.length) this.option();
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : String(error)}, in: ${this.text}`, { cause: error });
    }
    return { matches: this.matches, target: this.target };
  }

  private next(): string {
    const word = this.words[this.at++];
    if (word === undefined) throw unknown('a rule that ends here');
    return word;
  }

  private option(): void {
    const isNegated = this.words[this.at] === '!';
    if (isNegated) this.at++;
    const name = this.next();
    const match = valueMatches[name];
    if (match !== undefined) {
      const chance = match(this.next());
      this.matches.push({ chance: isNegated ? (...args): number => 1 - chance(...args) : chance });
    } else if (isNegated) throw unknown(`! ${name}`);
    else this.plainOption(name);
  }

  private plainOption(name: string): void {
    switch (name) {
      case '-m': {
        const module = this.next();
        if (!modules.has(module)) throw unknown(`match ${module}`);
        if (module === 'recent') this.recent();
        return;
      }
      case '--comment':
      case '--nfacct-name':
        this.next();
        return;
      case '--mode':
        if (this.next() !== 'random' || this.next() !== '--probability') throw unknown('this mode');
        this.random(Number(this.next()));
        return;
      case '-j':
        this.target = this.parseTarget(this.next());
        return;
      default:
        throw unknown(`option ${name}`);
    }
  }

  private random(probability: number): void {
    if (!(probability > 0 && probability <= 1)) throw unknown(`probability ${probability}`);
    this.matches.push({ chance: () => probability });
  }

  /** Time does not pass: a client that was here is remembered. */
  private recent(): void {
    let mode = '';
    let list = '';
    for (;;) {
      const word = this.words[this.at];
      if (word === '--set' || word === '--update' || word === '--rcheck') mode = word;
      else if (word === '--name') list = this.words[++this.at] ?? '';
      else if (word === '--seconds') this.checkSeconds(Number(this.words[++this.at]));
      else if (word === '--mask') this.checkMask(this.words[++this.at] ?? '');
      else if (word !== '--reap' && word !== '--rsource') break;
      this.at++;
    }
    if (mode === '' || list === '') throw unknown('what recent is to do');
    if (mode !== '--set') this.matches.push({ chance: ({ recent }) => Number(recent.has(list)) });
    else
      this.matches.push({
        chance: () => 1,
        effect: (packet) => ({ ...packet, recent: new Set([...packet.recent, list]) }),
      });
  }

  private checkSeconds(seconds: number): void {
    if (!(seconds > 0)) throw unknown('these seconds');
  }

  /** Clients are whole addresses. */
  private checkMask(mask: string): void {
    if (!/^(255(\.255){3}|ffff(:ffff){7})$/.test(mask)) throw unknown(`mask ${mask}`);
  }

  private parseTarget(name: string): Target {
    const kind = terminal.find((known) => known === name);
    if (kind === 'REJECT') {
      if (this.next() !== '--reject-with' || !/^icmp6?-port-unreachable$/.test(this.next()))
        throw unknown('this way to reject');
    } else if (kind === 'MASQUERADE' && this.words[this.at] === '--random-fully') this.at++;
    if (kind !== undefined) return { kind };
    if (name === 'DNAT') {
      if (this.next() !== '--to-destination') throw unknown('this DNAT');
      const [, v6, v4, port] = /^(?:\[([\da-f:.]+)\]|([\d.]+)):(\d+)$/.exec(this.next()) ?? [];
      if (port === undefined) throw unknown('this destination');
      return { kind: 'DNAT', address: v6 ?? v4 ?? '', port: Number(port) };
    }
    if (name === 'MARK') {
      if (this.next() !== '--set-xmark') throw unknown('this MARK');
      const [value = 0, mask = 0xffffffff] = this.next().split('/').map(Number);
      return { kind: 'MARK', value, mask };
    }
    return { kind: 'jump', chain: name };
  }
}

/**
 * Tables from nothing: what iptables-save prints, or what iptables-restore makes of this text. Throws for a match, target or
 * command that the tracer does not know, and for rules in other tables than nat and filter.
 */
export function parseTables(text: string): TracedTables {
  const tables = {
    nat: { chains: new Map<string, Rule[]>(), dropping: new Set<string>() },
    filter: { chains: new Map<string, Rule[]>(), dropping: new Set<string>() },
  };
  let table: TracedTable | undefined;
  for (const line of text.split('\n')) {
    const [command = '', chain = ''] = line.split(' ', 2);
    if (command === '' || command === '#' || command === 'COMMIT') continue;
    if (command.startsWith('*')) {
      const name = command.slice(1);
      table = name === 'nat' || name === 'filter' ? tables[name] : undefined;
    } else if (command.startsWith(':')) {
      table?.chains.set(command.slice(1), []);
      if (chain === 'DROP') table?.dropping.add(command.slice(1));
    } else if (table === undefined) throw unknown(`this table, with: ${line}`);
    else addRule(table, command, chain, line.slice(command.length + chain.length + 2));
  }
  for (const { chains } of Object.values(tables))
    for (const { target } of [...chains.values()].flat())
      if (target?.kind === 'jump' && !chains.has(target.chain)) throw unknown(`chain ${target.chain}`);
  return tables;
}

function addRule({ chains }: TracedTable, command: string, chain: string, text: string): void {
  let rules = chains.get(chain);
  if (rules === undefined && /^KUBE-/.test(chain)) throw unknown(`chain ${chain}`);
  if (rules === undefined) chains.set(chain, (rules = []));
  const rule = parsedRules.get(text) ?? new RuleParser(text).parse();
  parsedRules.set(text, rule);
  if (command === '-A') rules.push(rule);
  else if (command === '-I') rules.unshift(rule);
  else throw unknown(`command ${command}`);
}
