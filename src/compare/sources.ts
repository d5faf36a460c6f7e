/** The clients to try. One source stands for all those that neither the rules nor the Plan distinguish. */
import {
  addressBits,
  addressWidth,
  type Cidr,
  cidrContains,
  type Family,
  formatAddress,
  isLoopback,
  parseCidr,
} from '../model/address';
import type { LocalDetector } from '../model/local-detector';

export type SourceKind = 'pods' | 'node' | 'outside';

export interface Source {
  readonly kind: SourceKind;
  /** The one address that stands for the whole span. */
  readonly address: string;
  /** The interface at which it comes in, or '' for the node's own packets. */
  readonly device: string;
  /** The addresses that it stands for. Absent for the node itself. */
  readonly span?: AddressSpan;
}

/** A range of addresses that includes both ends. */
export interface AddressSpan {
  readonly family: Family;
  readonly low: bigint;
  readonly high: bigint;
}

/**
 * Splits the address space at the bounds of these CIDRs and returns a source for each part, in order. No loopback address and no
 * address that is passed over stands for a part, so a part that consists of such addresses has no source.
 */
export function planSources(
  family: Family,
  detector: LocalDetector,
  cidrs: Iterable<string>,
  passesOver: (address: string) => boolean,
): Source[] {
  const parsed = [...cidrs, ...(detector.kind === 'cidr' ? [detector.cidr] : [])].flatMap(
    (text) => parseCidr(text) ?? [],
  );
  return cutSpace(family, parsed).flatMap((span) => {
    const address = pickAddress(span, passesOver);
    return address === undefined ? [] : devicesOf(detector, address).map((device) => ({ ...device, address, span }));
  });
}

function cutSpace(family: Family, cidrs: readonly Cidr[]): AddressSpan[] {
  const end = 1n << BigInt(addressWidth(family));
  const points = new Set([0n]);
  for (const { low, high } of cidrs.filter((cidr) => cidr.family === family).map(spanOf))
    points.add(low).add(high + 1n);
  const starts = [...points].filter((point) => point < end).sort((a, b) => (a < b ? -1 : 1));
  return starts.map((low, i) => ({ family, low, high: (starts[i + 1] ?? end) - 1n }));
}

function spanOf({ family, address, prefix }: Cidr): AddressSpan {
  const low = addressBits(address);
  return { family, low, high: low + (1n << BigInt(addressWidth(family) - prefix)) - 1n };
}

/** The most consecutive addresses to look at: a node and a Service together have fewer. */
const mostInARow = 10_000n;
/** The addresses that usually stand for clients outside, from the networks for documentation. */
export const usualOutside: Readonly<Record<Family, string>> = { IPv4: '192.0.2.1', IPv6: '2001:db8::1' };

function pickAddress({ family, low, high }: AddressSpan, passesOver: (address: string) => boolean): string | undefined {
  const usual = addressBits(usualOutside[family]);
  for (const start of [usual, low + 1n, low]) {
    if (start < low || start > high) continue;
    for (let bits = start; bits <= high && bits - start < mostInARow; bits++) {
      const address = formatAddress(family, bits);
      if (isLoopback(address)) break;
      if (!passesOver(address)) return address;
    }
  }
  return undefined;
}

/** Returns how packets with this source may come in: from a pod of this node, or from outside. */
export function devicesOf(
  detector: LocalDetector,
  address: string,
): readonly { readonly kind: SourceKind; readonly device: string }[] {
  const outside = { kind: 'outside', device: 'eth0' } as const;
  switch (detector.kind) {
    case 'none':
      return [outside];
    case 'cidr':
      return isIn(detector.cidr, address) ? [{ kind: 'pods', device: 'veth0' }] : [outside];
    case 'interface':
      return [{ kind: 'pods', device: detector.name }, outside];
    case 'interface-prefix':
      return [{ kind: 'pods', device: `${detector.prefix}0` }, outside];
  }
}

export function isIn(cidrText: string, address: string): boolean {
  const cidr = parseCidr(cidrText);
  return cidr !== undefined && cidrContains(cidr, address);
}

/** Returns the fewest CIDRs that make up the span. */
function printSpan({ family, low, high }: AddressSpan): string[] {
  const width = addressWidth(family);
  const cidrs: string[] = [];
  for (let at = low; at <= high; ) {
    let bits = 0;
    while (bits < width && (at >> BigInt(bits)) % 2n === 0n && at + (1n << BigInt(bits + 1)) - 1n <= high) bits++;
    cidrs.push(`${formatAddress(family, at)}/${width - bits}`);
    at += 1n << BigInt(bits);
  }
  return cidrs;
}

/** Joins adjacent spans first. */
export function printSpans(spans: readonly AddressSpan[]): string[] {
  const sorted = [...spans].sort((a, b) => (a.low < b.low ? -1 : 1));
  const joined: AddressSpan[] = [];
  for (const span of sorted) {
    const last = joined.at(-1);
    if (last !== undefined && last.high + 1n >= span.low)
      joined[joined.length - 1] = { ...last, high: last.high > span.high ? last.high : span.high };
    else joined.push(span);
  }
  return joined.flatMap(printSpan);
}
