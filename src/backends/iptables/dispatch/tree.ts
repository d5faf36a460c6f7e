/**
 * Dispatch by address, protocol and port as a tree of small chains, so that no first packet walks a rule a Service.
 *
 * A key is a string of digits of two bits: the address (16 or 64 digits; none for node ports), the protocol (1), the port (8). A chain
 * with more than `leafSize` entries branches at the first digit in which they differ; a branch of more than `inlineSize` becomes a
 * chain of its own. The shape depends on the present entries alone, never on how they came, and one entry coming or
 * going touches the chains on its own path.
 */
import { protocolName } from '../../../model/protocol';
import { type Family, addressBits, addressWidth, formatAddress } from '../../../model/address';
import type { Protocol } from '../../../model/protocol';
import { type DispatchEntry, DispatchKeys, lowerBound } from './keys';
import { hash16, maxChainName } from '../names';

const leafSize = 16;
const inlineSize = 2;
/** A chain branches by two bits: of four rules a packet meets at most three that are not its own. */
const digitBits = 2;
const radix = 4;
const portDigits = 16 / digitBits;
const afterEveryDigit = '9';
const protocolDigits: Readonly<Record<Protocol, string>> = { TCP: '0', UDP: '1', SCTP: '2' };
const protocolOfDigit: Readonly<Record<string, Protocol>> = { '0': 'TCP', '1': 'UDP', '2': 'SCTP' };

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
}

/** A chain as it is now. */
interface RenderedChain {
  readonly rules: readonly string[];
  /** The chains that it jumps to. */
  readonly below: readonly string[];
}

const nothingBelow: readonly string[] = [];

export class DispatchTree {
  /** The tree is read off its keys. */
  private readonly entries = new DispatchKeys((entry) => this.keyOf(entry));
  /** Every chain that there is -> the chains that it jumps to. */
  private readonly below = new Map<string, readonly string[]>();
  private readonly addressDigits: number;

  constructor(private readonly options: DispatchOptions) {
    this.addressDigits = options.by === 'port' ? 0 : addressWidth(options.family) / digitBits;
  }

  /** Keys that are served. */
  get size(): number {
    return this.entries.sorted.length;
  }

  /** Replaces entries and renders what that changes. Taking away an entry that is not there is no error. */
  update(removed: readonly DispatchEntry[], added: readonly DispatchEntry[]): ChangedChains {
    const { rendered, untouched } = this.renderTouched(this.entries.replace(removed, added));
    const changed: ChangedChains = new Map();
    for (const name of this.chainsGone(rendered, untouched)) {
      changed.set(name, undefined);
      this.below.delete(name);
    }
    for (const [name, { rules, below }] of rendered) {
      changed.set(name, rules);
      this.below.set(name, below);
    }
    return changed;
  }

  /**
   * The chains from the root down to where nothing changed. What a chain holds, and what all below it hold, follows from the keys that
   * begin with its prefix: one that was there before, and has none of the touched keys, is as it was with all below it.
   */
  private renderTouched(touched: readonly string[]): {
    readonly rendered: ReadonlyMap<string, RenderedChain>;
    readonly untouched: ReadonlySet<string>;
  } {
    const rendered = new Map<string, RenderedChain>();
    const untouched = new Set<string>();
    const visit = (name: string, span: Span, from: number, to: number): void => {
      const branches = this.chainBranches(span);
      const names = branches.map(({ prefix }) => this.chainName(prefix));
      rendered.set(name, { rules: this.rulesOf(span), below: names.length === 0 ? nothingBelow : names });
      for (const [i, branch] of branches.entries()) {
        const child = names[i] ?? '';
        const low = lowerBound(touched, branch.prefix, from, to);
        const high = lowerBound(touched, branch.prefix + afterEveryDigit, low, to);
        if (low < high || !this.below.has(child)) visit(child, branch, low, high);
        else untouched.add(child);
      }
    };
    visit(this.options.root, this.span(0, this.size, ''), 0, touched.length);
    return { rendered, untouched };
  }

  /** Of the chains that were below the root, those that nothing leads to any more. */
  private chainsGone(rendered: ReadonlyMap<string, RenderedChain>, untouched: ReadonlySet<string>): readonly string[] {
    const gone: string[] = [];
    const visit = (name: string): void => {
      for (const child of this.below.get(name) ?? nothingBelow) {
        if (untouched.has(child)) continue;
        if (!rendered.has(child)) gone.push(child);
        visit(child);
      }
    };
    visit(this.options.root);
    return gone;
  }

  private keyOf(entry: DispatchEntry): string {
    const address = this.addressDigits === 0 ? '' : addressBits(entry.address).toString(radix);
    if (this.options.by === 'hairpin') return address.padStart(this.addressDigits, '0');
    const port = entry.port.toString(radix).padStart(portDigits, '0');
    return address.padStart(this.addressDigits, '0') + protocolDigits[entry.protocol] + port;
  }

  private span(low: number, high: number, digitPrefix: string): Span {
    const keys = this.entries.sorted;
    const first = keys[low] ?? '';
    const last = keys[high - 1] ?? '';
    let length = digitPrefix.length;
    while (length < first.length && first[length] === last[length]) length++;
    return { low, high, prefix: first.slice(0, length) };
  }

  private branches(span: Span): Span[] {
    const keys = this.entries.sorted;
    const out: Span[] = [];
    for (let low = span.low; low < span.high; ) {
      const digitPrefix = (keys[low] ?? '').slice(0, span.prefix.length + 1);
      const high = lowerBound(keys, digitPrefix + afterEveryDigit, low, span.high);
      out.push(this.span(low, high, digitPrefix));
      low = high;
    }
    return out;
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
    return this.entries.sorted.slice(low, high).flatMap((key) => {
      const entry = this.entries.first(key);
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
