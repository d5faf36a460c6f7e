/**
 * Dispatch by address, protocol and port as a tree of small chains, so that no first packet walks one rule for each Service.
 *
 * A key is a string of digits of two bits: the address (16 or 64 digits; none for node ports), the protocol (1), the port (8). A chain
 * with more than `leafSize` entries branches at the first digit in which they differ. A branch with more than `inlineSize` entries
 * becomes a chain of its own. The shape depends on the present entries alone, never on the order in which they came. An entry that
 * comes or goes changes only the chains on its own path.
 */
import { type Family, addressBits, addressWidth, formatAddress } from '../../../model/address';
import { type Protocol, protocolName } from '../../../model/protocol';
import { type DispatchEntry, DispatchKeys, lowerBound } from './keys';
import { hash16, maxChainName } from '../names';

const leafSize = 16;
const inlineSize = 2;
/** A chain branches by two bits. So a packet meets at most three rules of the four that are not its own. */
const digitBits = 2;
const radix = 4;
const portDigits = 16 / digitBits;
const afterEveryDigit = '9';
const protocolDigits: Readonly<Record<Protocol, string>> = { TCP: '0', UDP: '1', SCTP: '2' };
const protocolOfDigit: Readonly<Record<string, Protocol>> = { '0': 'TCP', '1': 'UDP', '2': 'SCTP' };

export interface DispatchOptions {
  readonly family: Family;
  /** `hairpin`: by source address. The leaves match packets from an address to itself; protocol and port do not count. */
  readonly by: 'destination' | 'port' | 'hairpin';
  /** The chain at the top of the tree. */
  readonly root: string;
  /** What the names of the other chains begin with: `KUBE-SVC-`, `KUBE-SVC-np-`. */
  readonly prefix: string;
}

/** Changed chains of a tree -> their rules, or undefined for a chain that is gone. The root is never gone. */
export type ChangedChains = Map<string, readonly string[] | undefined>;

/** The entries from `low` up to but not including `high` in the order of keys. All their keys begin with `prefix`. */
interface Span {
  readonly low: number;
  readonly high: number;
  /** The longest prefix that the keys have in common. */
  readonly prefix: string;
}

/** A chain of the tree. */
interface RenderedChain {
  readonly rules: readonly string[];
  /** The chains that it jumps to. */
  readonly below: readonly string[];
}

const nothingBelow: readonly string[] = [];

export class DispatchTree {
  /** The shape of the tree follows from these keys. */
  readonly #entries = new DispatchKeys((entry) => this.#keyOf(entry));
  /** Each present chain -> the chains that it jumps to. */
  readonly #below = new Map<string, readonly string[]>();
  readonly #addressDigits: number;
  readonly #options: DispatchOptions;

  constructor(options: DispatchOptions) {
    this.#options = options;
    this.#addressDigits = options.by === 'port' ? 0 : addressWidth(options.family) / digitBits;
  }

  /** The number of keys. */
  get size(): number {
    return this.#entries.sorted.length;
  }

  /** Replaces entries and renders the chains that this changes. Removing an entry that is not there is no error. */
  update(removed: readonly DispatchEntry[], added: readonly DispatchEntry[]): ChangedChains {
    const { rendered, untouched } = this.#renderTouched(this.#entries.replace(removed, added));
    const changed: ChangedChains = new Map();
    for (const name of this.#chainsGone(rendered, untouched)) {
      changed.set(name, undefined);
      this.#below.delete(name);
    }
    for (const [name, { rules, below }] of rendered) {
      changed.set(name, rules);
      this.#below.set(name, below);
    }
    return changed;
  }

  /**
   * Renders the chains from the root down to where nothing changed. The rules of a chain, and of all chains below it, follow from the
   * keys that begin with its prefix. So a chain that existed before and has none of the touched keys is unchanged, with all below it.
   */
  #renderTouched(touched: readonly string[]): {
    readonly rendered: ReadonlyMap<string, RenderedChain>;
    readonly untouched: ReadonlySet<string>;
  } {
    const rendered = new Map<string, RenderedChain>();
    const untouched = new Set<string>();
    const visit = (name: string, span: Span, from: number, to: number): void => {
      const branches = this.#chainBranches(span);
      const names = branches.map(({ prefix }) => this.#chainName(prefix));
      rendered.set(name, { rules: this.#rulesOf(span), below: names.length === 0 ? nothingBelow : names });
      for (const [i, branch] of branches.entries()) {
        const child = names[i] ?? '';
        const low = lowerBound(touched, branch.prefix, from, to);
        const high = lowerBound(touched, branch.prefix + afterEveryDigit, low, to);
        if (low < high || !this.#below.has(child)) visit(child, branch, low, high);
        else untouched.add(child);
      }
    };
    visit(this.#options.root, this.#span(0, this.size, ''), 0, touched.length);
    return { rendered, untouched };
  }

  /** Returns the former chains below the root to which nothing leads any more. */
  #chainsGone(rendered: ReadonlyMap<string, RenderedChain>, untouched: ReadonlySet<string>): readonly string[] {
    const gone: string[] = [];
    const visit = (name: string): void => {
      for (const child of this.#below.get(name) ?? nothingBelow) {
        if (untouched.has(child)) continue;
        if (!rendered.has(child)) gone.push(child);
        visit(child);
      }
    };
    visit(this.#options.root);
    return gone;
  }

  #keyOf(entry: DispatchEntry): string {
    const address = this.#addressDigits === 0 ? '' : addressBits(entry.address).toString(radix);
    if (this.#options.by === 'hairpin') return address.padStart(this.#addressDigits, '0');
    const port = entry.port.toString(radix).padStart(portDigits, '0');
    return address.padStart(this.#addressDigits, '0') + protocolDigits[entry.protocol] + port;
  }

  #span(low: number, high: number, digitPrefix: string): Span {
    const keys = this.#entries.sorted;
    const first = keys[low] ?? '';
    const last = keys[high - 1] ?? '';
    let length = digitPrefix.length;
    while (length < first.length && first[length] === last[length]) length++;
    return { low, high, prefix: first.slice(0, length) };
  }

  #branches(span: Span): Span[] {
    const keys = this.#entries.sorted;
    const out: Span[] = [];
    for (let low = span.low; low < span.high; ) {
      const digitPrefix = (keys[low] ?? '').slice(0, span.prefix.length + 1);
      const high = lowerBound(keys, digitPrefix + afterEveryDigit, low, span.high);
      out.push(this.#span(low, high, digitPrefix));
      low = high;
    }
    return out;
  }

  /** The branches that become chains of their own. */
  #chainBranches(span: Span): Span[] {
    if (span.high - span.low <= leafSize) return [];
    return this.#branches(span).filter((branch) => branch.high - branch.low > inlineSize);
  }

  #rulesOf(span: Span): string[] {
    if (span.high - span.low <= leafSize) return this.#leafRules(span);
    return this.#branches(span).flatMap((branch) =>
      branch.high - branch.low <= inlineSize
        ? this.#leafRules(branch)
        : [`${this.#prefixMatch(branch.prefix)}-j ${this.#chainName(branch.prefix)}`],
    );
  }

  #leafRules({ low, high }: Span): string[] {
    return this.#entries.sorted.slice(low, high).flatMap((key) => {
      const entry = this.#entries.first(key);
      if (entry === undefined) return [];
      const host = `${entry.address}/${addressWidth(this.#options.family)}`;
      if (this.#options.by === 'hairpin') return [`-s ${host} -d ${host} ${entry.action}`];
      const protocol = protocolName(entry.protocol);
      const destination = entry.address === '' ? '' : `-d ${host} `;
      const comment = `-m comment --comment "${entry.comment}"`;
      return [`${destination}-p ${protocol} ${comment} -m ${protocol} --dport ${entry.port} ${entry.action}`];
    });
  }

  /** `-d 10.96.0.0/20 `, `-d 203.0.113.5/32 -p tcp -m tcp --dport 8000:8015 `. */
  #prefixMatch(prefix: string): string {
    const { address, bits, protocol, ports } = this.#parsePrefix(prefix);
    // iptables-save does not print a match of all addresses.
    const match = this.#options.by === 'hairpin' ? '-s' : '-d';
    const destination = address === undefined || bits === 0 ? '' : `${match} ${address}/${bits} `;
    if (protocol === undefined) return destination;
    const range = ports === undefined ? '' : `-m ${protocol} --dport ${portRange(ports, ':')} `;
    return `${destination}-p ${protocol} ${range}`;
  }

  #chainName(prefix: string): string {
    const { address, bits, protocol, ports } = this.#parsePrefix(prefix);
    let name: string = this.#options.prefix;
    if (address !== undefined) name += protocol === undefined ? `${address}/${bits}` : `${address}-`;
    name += protocol ?? '';
    if (ports !== undefined) name += `-${portRange(ports, '-')}`;
    return name.length <= maxChainName ? name : `${this.#options.prefix}~${hash16(name)}`;
  }

  #parsePrefix(prefix: string): DispatchPrefix {
    const digits = prefix.slice(0, this.#addressDigits);
    const protocol = protocolOfDigit[prefix.charAt(this.#addressDigits)];
    const port = prefix.slice(this.#addressDigits + 1);
    const bits = Array.from(digits.padEnd(this.#addressDigits, '0')).reduce(
      (sum, digit) => (sum << BigInt(digitBits)) | BigInt(digit),
      0n,
    );
    return {
      address: this.#addressDigits === 0 ? undefined : formatAddress(this.#options.family, bits),
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
