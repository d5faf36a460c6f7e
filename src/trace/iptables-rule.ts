/** Parses a rule of iptables-save into matches and a target. It knows the rules that a service proxy writes. */
import { addressWidth } from '../model/address';
import { matchIpSet } from './match-ip-set';
import { memoized } from './memoized';
import { type Match, parseNetwork, parsePorts, unknown, UnknownRule, valueMatches } from './iptables-matches';

export type Target =
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'ACCEPT' | 'DROP' | 'REJECT' | 'RETURN' | 'MASQUERADE' }
  | { readonly kind: 'DNAT'; readonly address: string; readonly port: number }
  | { readonly kind: 'MARK'; readonly value: number; readonly mask: number }
  /** Sets the mark that a set has for the packet. */
  | { readonly kind: 'SET'; readonly set: string; readonly directions: string }
  /** The rule is not understood. Its matches are those before the part that is not. */
  | { readonly kind: 'unknown'; readonly why: string };

export interface Rule {
  readonly text: string;
  readonly matches: readonly Match[];
  /** Undefined if the rule only counts. */
  readonly target: Target | undefined;
  /** The single destination address that it matches, if it has one: an index of long chains needs it. */
  readonly destination?: string;
  /** The single destination port that it matches, if it has one. */
  readonly port?: number;
  /** `-d` with any prefix length. Not set for `! -d`. */
  readonly network?: string;
  /** Inclusive. */
  readonly ports?: readonly [low: number, high: number];
  readonly protocol?: string;
  readonly isToLocal?: boolean;
  readonly comment?: string;
}

/** Splits a rule into words. A text in double quotes is one word. */
function splitWords(text: string): string[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(
    ([, quoted, bare]) => bare ?? (quoted ?? '').replaceAll(/\\(.)/g, '$1'),
  );
}

const modules = new Set(
  'tcp udp sctp comment addrtype conntrack mark statistic recent bpf nfacct set physdev ipvs'.split(' '),
);
const terminal = ['ACCEPT', 'DROP', 'REJECT', 'RETURN', 'MASQUERADE'] as const;

/**
 * Parses the text after `-A CHAIN`. A rule that is not understood gets the target `unknown`. It is memoized because tables are
 * parsed again and again, and few of their rules are new.
 */
export const parseRule = memoized((text: string): Rule => new RuleParser(text).parse());

type Facts = { -readonly [Name in keyof Omit<Rule, 'text' | 'matches' | 'target'>]: Rule[Name] };

class RuleParser {
  readonly #words: string[];
  #at = 0;
  readonly #matches: Match[] = [];
  readonly #facts: Facts = {};
  #target: Target | undefined;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
    this.#words = splitWords(text);
  }

  parse(): Rule {
    try {
      while (this.#at < this.#words.length) this.#option();
    } catch (error) {
      if (!(error instanceof UnknownRule)) throw error;
      this.#target = { kind: 'unknown', why: error.message };
    }
    return { text: this.#text, matches: this.#matches, target: this.#target, ...this.#facts };
  }

  #next(): string {
    const word = this.#words[this.#at++];
    if (word === undefined) throw unknown('an option without its value');
    return word;
  }

  #option(): void {
    const isNegated = this.#words[this.#at] === '!';
    if (isNegated) this.#at++;
    const name = this.#next();
    const match = valueMatches[name];
    if (match !== undefined) {
      const value = this.#next();
      this.#match(match(value), isNegated);
      if (!isNegated) this.#noteFact(name, value);
    } else if (name === '--match-set') this.#matchSet(isNegated);
    else if (name === '--physdev-is-in') this.#match(() => 0, isNegated);
    else if (isNegated) throw unknown(`! ${name}`);
    else this.#plainOption(name);
  }

  #match(chance: Match['chance'], isNegated: boolean): void {
    this.#matches.push({ chance: isNegated ? (...args): number => 1 - chance(...args) : chance });
  }

  #noteFact(name: string, value: string): void {
    const facts = this.#facts;
    if (name === '-p') facts.protocol = value;
    else if (name === '--dst-type') facts.isToLocal = true;
    else if (name === '--dport') {
      facts.ports = parsePorts(value);
      if (facts.ports[0] === facts.ports[1]) facts.port = facts.ports[0];
    } else if (name === '-d') {
      const cidr = parseNetwork(value);
      facts.network = `${cidr.address}/${cidr.prefix}`;
      if (cidr.prefix === addressWidth(cidr.family)) facts.destination = cidr.address;
    }
  }

  #matchSet(isNegated: boolean): void {
    const [set, directions] = [this.#next(), this.#next()];
    this.#match((packet, context) => Number(matchIpSet(set, directions, packet, context)), isNegated);
  }

  #plainOption(name: string): void {
    switch (name) {
      case '-m': {
        const module = this.#next();
        if (!modules.has(module)) throw unknown(`match ${module}`);
        if (module === 'recent') this.#recent();
        return;
      }
      case '--comment':
        this.#facts.comment = this.#next();
        return;
      case '--nfacct-name':
        this.#next();
        return;
      case '--mode':
        if (this.#next() !== 'random' || this.#next() !== '--probability')
          throw unknown('this mode of the match statistic');
        this.#random(Number(this.#next()));
        return;
      case '-j':
        this.#target = this.#parseTarget(this.#next());
        return;
      case '-g':
        this.#target = { kind: 'goto', chain: this.#next() };
        return;
      default:
        throw unknown(`option ${name}`);
    }
  }

  #random(probability: number): void {
    if (!(probability > 0 && probability <= 1)) throw unknown(`probability ${probability}`);
    this.#matches.push({ chance: () => probability });
  }

  /** No time passes during a trace, so a client that is in the list is always remembered. */
  #recent(): void {
    let mode = '';
    let list = '';
    let seconds = 0;
    for (;;) {
      const word = this.#words[this.#at];
      if (word === '--set' || word === '--update' || word === '--rcheck') mode = word;
      else if (word === '--name') list = this.#words[++this.#at] ?? '';
      else if (word === '--seconds') seconds = readSeconds(this.#words[++this.#at]);
      else if (word === '--mask') checkMask(this.#words[++this.#at] ?? '');
      else if (word !== '--reap' && word !== '--rsource') break;
      this.#at++;
    }
    if (mode === '' || list === '') throw unknown('a match recent without a name or a mode');
    if (mode !== '--set')
      this.#matches.push({
        chance: ({ recent }) => Number(recent.has(list)),
        effect: (packet) => ({ ...packet, rememberedSeconds: seconds }),
      });
    else
      this.#matches.push({
        chance: () => 1,
        effect: (packet) => ({ ...packet, recent: new Set([...packet.recent, list]) }),
      });
  }

  #parseTarget(name: string): Target {
    const kind = terminal.find((known) => known === name);
    if (kind === 'REJECT') {
      if (this.#next() !== '--reject-with' || !/^icmp6?-port-unreachable$/.test(this.#next()))
        throw unknown('this way to reject');
    } else if (kind === 'MASQUERADE' && this.#words[this.#at] === '--random-fully') this.#at++;
    if (kind !== undefined) return { kind };
    if (name === 'DNAT') {
      if (this.#next() !== '--to-destination') throw unknown('this form of DNAT');
      const [, v6, v4, port] = /^(?:\[([\da-f:.]+)\]|([\d.]+)):(\d+)$/.exec(this.#next()) ?? [];
      if (port === undefined) throw unknown('this destination of DNAT');
      return { kind: 'DNAT', address: v6 ?? v4 ?? '', port: Number(port) };
    }
    if (name === 'MARK') {
      if (this.#next() !== '--set-xmark') throw unknown('this form of MARK');
      const [value = 0, mask = 0xffffffff] = this.#next().split('/').map(Number);
      return { kind: 'MARK', value, mask };
    }
    if (name === 'SET') {
      if (this.#next() !== '--map-set') throw unknown('this form of SET');
      const target: Target = { kind: 'SET', set: this.#next(), directions: this.#next() };
      if (this.#next() !== '--map-mark') throw unknown('this form of SET');
      return target;
    }
    return { kind: 'jump', chain: name };
  }
}

function readSeconds(text: string | undefined): number {
  const seconds = Number(text);
  if (!(seconds > 0)) throw unknown(`--seconds ${text ?? ''}`);
  return seconds;
}

/** Throws for a mask that is shorter than an address: clients are whole addresses here. */
function checkMask(mask: string): void {
  if (!/^(255(\.255){3}|ffff(:ffff){7})$/.test(mask)) throw unknown(`mask ${mask}`);
}
