/**
 * Dispatch by address, protocol and port as a tree of small chains, so that no first packet walks a rule a Service.
 *
 * A key is a string of digits of two bits: the address (16 or 64 digits; none for node ports), the protocol (1), the port (8). A chain
 * with more than `leafSize` entries branches at the first digit in which they differ; a branch of more than `inlineSize` becomes a
 * chain of its own. The shape depends on the present entries alone, never on how they came, and one entry coming or
 * going touches the chains on its own path.
 */
import { type Family, addressBits, addressWidth, formatAddress } from '../../model/address';
import type { Protocol } from '../../model/cluster';
import { hash16, maxChainName, protocolName } from './names';

const leafSize = 16;
const inlineSize = 2;
/** A chain branches by two bits: of four rules a packet meets at most three that are not its own. */
const digitBits = 2;
const radix = 4;
const portDigits = 16 / digitBits;
const protocolDigits: Readonly<Record<Protocol, string>> = { TCP: '0', UDP: '1', SCTP: '2' };
const protocolOfDigit: Readonly<Record<string, Protocol>> = { '0': 'TCP', '1': 'UDP', '2': 'SCTP' };

export interface DispatchEntry {
  /** '' in a tree of ports. */
  readonly address: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Who claims it: of several claims to one key the first in order serves. */
  readonly owner: string;
  /** The rule's comment and what follows its matches: `-j KUBE-SVC-...`. */
  readonly comment: string;
  readonly action: string;
}

export interface DispatchOptions {
  readonly family: Family;
  /** `hairpin`: by the source address, and leaves match packets from an address to itself; protocol and port do not count. */
  readonly by: 'destination' | 'port' | 'hairpin';
  /** The chain that the tree hangs from. */
  readonly root: string;
  /** Names of the chains below it: `KUBE-SVC-`, `KUBE-SVC-np-`. */
  readonly prefix: string;
}

/** Chains of a tree that changed: their rules, or undefined for a chain that is gone. The root is always there. */
export type ChangedChains = Map<string, readonly string[] | undefined>;

/** Entries from `low` to before `high` in key order, which all begin with `prefix`. */
interface Span {
  readonly low: number;
  readonly high: number;
  /** As long as the entries agree. */
  readonly prefix: string;
  /** Up to the digit at which the parent branched. */
  readonly digitPrefix: string;
}

type Render = () => readonly string[];

export class DispatchTree {
  /** Sorted; the tree is read off it. */
  private keys: string[] = [];
  /** Claims to each key, sorted by owner. */
  private readonly claims = new Map<string, DispatchEntry[]>();
  private readonly addressDigits: number;

  constructor(private readonly options: DispatchOptions) {
    this.addressDigits = options.by === 'port' ? 0 : addressWidth(options.family) / digitBits;
  }

  /** Keys that are served. */
  get size(): number {
    return this.keys.length;
  }

  /** Replaces entries and renders what that changes. Taking away an entry that is not there is no error. */
  update(removed: readonly DispatchEntry[], added: readonly DispatchEntry[]): ChangedChains {
    const touched = [...new Set([...removed, ...added].map((entry) => this.keyOf(entry)))];
    const before = this.chainsOf(touched);
    this.replace(removed, added);
    const after = this.chainsOf(touched);
    const changed: ChangedChains = new Map();
    // Where the root branches earlier than before, its chains are those of a new one between.
    const below = new Set(
      after.neighbours.flatMap((span) => this.chainBranches(span)).map(({ prefix }) => this.chainName(prefix)),
    );
    for (const [name] of [...before.onPath, ...before.beside])
      if (!after.onPath.has(name) && !after.beside.has(name) && !below.has(name)) changed.set(name, undefined);
    for (const [name, render] of after.onPath) changed.set(name, render());
    // An entry that makes or ends a branching point gives its neighbours another parent, and one of them a chain or none.
    for (const [name, render] of after.beside)
      if (!before.onPath.has(name) && !before.beside.has(name)) changed.set(name, render());
    return changed;
  }

  private keyOf(entry: DispatchEntry): string {
    const address = this.addressDigits === 0 ? '' : addressBits(entry.address).toString(radix);
    if (this.options.by === 'hairpin') return address.padStart(this.addressDigits, '0');
    const port = entry.port.toString(radix).padStart(portDigits, '0');
    return address.padStart(this.addressDigits, '0') + protocolDigits[entry.protocol] + port;
  }

  private replace(removed: readonly DispatchEntry[], added: readonly DispatchEntry[]): void {
    const gone = new Set<string>();
    for (const entry of removed) {
      const key = this.keyOf(entry);
      const rest = this.claims.get(key)?.filter((claim) => claim.owner !== entry.owner);
      if (rest === undefined) continue;
      this.claims.set(key, rest);
      if (rest.length === 0) gone.add(key);
    }
    const come: string[] = [];
    for (const entry of added) {
      const key = this.keyOf(entry);
      const others = this.claims.get(key);
      if (others === undefined) come.push(key);
      gone.delete(key);
      const claims = [...(others ?? []).filter((claim) => claim.owner !== entry.owner), entry];
      this.claims.set(key, claims.length === 1 ? claims : claims.sort((a, b) => (a.owner < b.owner ? -1 : 1)));
    }
    for (const key of gone) this.claims.delete(key);
    if (gone.size + come.length > 32) {
      this.keys = [...this.keys.filter((key) => !gone.has(key)), ...come].sort();
      return;
    }
    for (const key of gone) this.keys.splice(this.lowerBound(key), 1);
    for (const key of come) this.keys.splice(this.lowerBound(key), 0, key);
  }

  /** The first index whose key is not before this text. */
  private lowerBound(text: string, low = 0, high = this.keys.length): number {
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.keys[middle] ?? '') < text) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private span(low: number, high: number, digitPrefix: string): Span {
    const first = this.keys[low] ?? '';
    const last = this.keys[high - 1] ?? '';
    let length = digitPrefix.length;
    while (length < first.length && first[length] === last[length]) length++;
    return { low, high, prefix: first.slice(0, length), digitPrefix };
  }

  private branches(span: Span): Span[] {
    const out: Span[] = [];
    for (let low = span.low; low < span.high; ) {
      const digitPrefix = (this.keys[low] ?? '').slice(0, span.prefix.length + 1);
      // '9' comes after every digit.
      const high = this.lowerBound(`${digitPrefix}9`, low, span.high);
      out.push(this.span(low, high, digitPrefix));
      low = high;
    }
    return out;
  }

  /** The chains on the paths to these keys, with all below one so small that these entries reshape it; and their children. */
  private chainsOf(keys: readonly string[]): {
    onPath: Map<string, Render>;
    beside: Map<string, Render>;
    neighbours: Span[];
  } {
    const neighbours: Span[] = [];
    const onPath = new Map<string, Render>();
    const beside = new Map<string, Render>();
    const visit = (name: string, span: Span, wanted: readonly string[]): void => {
      onPath.set(name, () => this.rulesOf(span));
      const all = span.high - span.low <= leafSize + wanted.length;
      for (const branch of this.chainBranches(span)) {
        const within = all ? wanted : wanted.filter((key) => key.startsWith(branch.digitPrefix));
        const child = this.chainName(branch.prefix);
        if (within.length > 0) visit(child, branch, within);
        else {
          neighbours.push(branch);
          beside.set(child, () => this.rulesOf(branch));
        }
      }
    };
    visit(this.options.root, this.span(0, this.keys.length, ''), keys);
    return { onPath, beside, neighbours };
  }

  /** The branches that are chains of their own. */
  private chainBranches(span: Span): Span[] {
    if (span.high - span.low <= leafSize) return [];
    return this.branches(span).filter((branch) => branch.high - branch.low > inlineSize);
  }

  private rulesOf(span: Span): string[] {
    if (span.high - span.low <= leafSize) return this.leafRules(span);
    return this.branches(span).flatMap((branch) =>
      branch.high - branch.low <= inlineSize
        ? this.leafRules(branch)
        : [`${this.prefixMatch(branch.prefix)}-j ${this.chainName(branch.prefix)}`],
    );
  }

  private leafRules({ low, high }: Span): string[] {
    return this.keys.slice(low, high).flatMap((key) => {
      const entry = this.claims.get(key)?.[0];
      if (entry === undefined) return [];
      const host = `${entry.address}/${addressWidth(this.options.family)}`;
      if (this.options.by === 'hairpin') return [`-s ${host} -d ${host} ${entry.action}`];
      const protocol = protocolName(entry.protocol);
      const destination = entry.address === '' ? '' : `-d ${host} `;
      const comment = `-m comment --comment "${entry.comment}"`;
      return [`${destination}-p ${protocol} ${comment} -m ${protocol} --dport ${entry.port} ${entry.action}`];
    });
  }

  /** `-d 10.96.0.0/20 `, `-d 203.0.113.5/32 -p tcp -m tcp --dport 8000:8015 `. */
  private prefixMatch(prefix: string): string {
    const { address, bits, protocol, ports } = this.parsePrefix(prefix);
    // A match of everything is not a match: iptables-save would not print it.
    const match = this.options.by === 'hairpin' ? '-s' : '-d';
    const destination = address === undefined || bits === 0 ? '' : `${match} ${address}/${bits} `;
    if (protocol === undefined) return destination;
    const range = ports === undefined ? '' : `-m ${protocol} --dport ${portRange(ports, ':')} `;
    return `${destination}-p ${protocol} ${range}`;
  }

  private chainName(prefix: string): string {
    const { address, bits, protocol, ports } = this.parsePrefix(prefix);
    let name: string = this.options.prefix;
    if (address !== undefined) name += protocol === undefined ? `${address}/${bits}` : `${address}-`;
    name += protocol ?? '';
    if (ports !== undefined) name += `-${portRange(ports, '-')}`;
    return name.length <= maxChainName ? name : `${this.options.prefix}~${hash16(name)}`;
  }

  private parsePrefix(prefix: string): DispatchPrefix {
    const digits = prefix.slice(0, this.addressDigits);
    const protocol = protocolOfDigit[prefix.charAt(this.addressDigits)];
    const port = prefix.slice(this.addressDigits + 1);
    const bits = Array.from(digits.padEnd(this.addressDigits, '0')).reduce(
      (sum, digit) => (sum << BigInt(digitBits)) | BigInt(digit),
      0n,
    );
    return {
      address: this.addressDigits === 0 ? undefined : formatAddress(this.options.family, bits),
      bits: digits.length * digitBits,
      protocol: protocol === undefined ? undefined : protocolName(protocol),
      ports: port === '' ? undefined : { low: portOf(port, '0'), high: portOf(port, '3') },
    };
  }
}

interface DispatchPrefix {
  readonly address: string | undefined;
  readonly bits: number;
  readonly protocol: string | undefined;
  readonly ports: { readonly low: number; readonly high: number } | undefined;
}

function portOf(digits: string, fill: string): number {
  return Number.parseInt(digits.padEnd(portDigits, fill), radix);
}

function portRange({ low, high }: { low: number; high: number }, separator: ':' | '-'): string {
  return low === high ? low.toString() : `${low}${separator}${high}`;
}
