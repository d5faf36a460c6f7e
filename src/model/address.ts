/** IP families, addresses and CIDRs. Every address in the model is canonical text: what inet_ntop prints. */

export type Family = 'IPv4' | 'IPv6';
export const families: readonly Family[] = ['IPv4', 'IPv6'];

export interface Cidr {
  readonly family: Family;
  /** Network address, canonical, host bits zero. */
  readonly address: string;
  /** 0-32 or 0-128. */
  readonly prefix: number;
}

/** Of the two families, only IPv6 has a colon in its canonical text. */
export function familyOf(canonicalAddress: string): Family {
  return canonicalAddress.includes(':') ? 'IPv6' : 'IPv4';
}

export function addressWidth(family: Family): 32 | 128 {
  return family === 'IPv4' ? 32 : 128;
}

/** `10.96.0.10/32`, `fd00::10/128` */
export function hostCidr(canonicalAddress: string): string {
  return `${canonicalAddress}/${addressWidth(familyOf(canonicalAddress))}`;
}

/** No address is longer, so longer texts are not split at all. */
const longestText = 64;

function parseIPv4(text: string): bigint | undefined {
  const octets = text.split('.');
  if (octets.length !== 4) return undefined;
  let value = 0;
  for (const octet of octets) {
    // A number with leading zeros is decimal, as in Kubernetes' ParseIPSloppy.
    if (!/^\d+$/.test(octet) || Number(octet) > 255) return undefined;
    value = value * 256 + Number(octet);
  }
  return BigInt(value);
}

function parseIPv6(text: string): bigint | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groupsOf = (half: string, isLast: boolean): bigint[] | undefined => {
    if (half === '') return [];
    const groups: bigint[] = [];
    const parts = half.split(':');
    for (const [i, part] of parts.entries()) {
      if (part.includes('.')) {
        const v4 = isLast && i === parts.length - 1 ? parseIPv4(part) : undefined;
        if (v4 === undefined) return undefined;
        groups.push(v4 >> 16n, v4 & 0xffffn);
      } else {
        // Any number of leading zeros is accepted, as in ParseIPSloppy.
        const [, digits] = /^0*([0-9a-fA-F]{1,4})$/.exec(part) ?? [];
        if (digits === undefined) return undefined;
        groups.push(BigInt(`0x${digits}`));
      }
    }
    return groups;
  };
  const head = groupsOf(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? '', true) : [];
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array<bigint>(missing).fill(0n), ...tail];
  return groups.reduce((value, group) => (value << 16n) | group, 0n);
}

function formatIPv6(value: bigint): string {
  const groups: number[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((value >> shift) & 0xffffn));
  // RFC 5952: the longest run of at least two zero groups becomes `::`, the first one if several are equally long.
  let best = { start: -1, length: 1 };
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > best.length) best = { start: i, length };
    if (length > 0) i += length - 1;
  }
  // IPv4-compatible addresses are written with dots, as the C library's inet_ntop does.
  if (best.start === 0 && best.length === 6) return `::${formatAddress('IPv4', value)}`;
  const hex = groups.map((group) => group.toString(16));
  if (best.start < 0) return hex.join(':');
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`;
}

/** Returns a canonical address as a number. Throws if the text is not an address. */
export function addressBits(canonicalAddress: string): bigint {
  const bits = familyOf(canonicalAddress) === 'IPv4' ? parseIPv4(canonicalAddress) : parseIPv6(canonicalAddress);
  if (bits === undefined) throw new TypeError(`not a canonical address: ${canonicalAddress}`);
  return bits;
}

export function formatAddress(family: Family, bits: bigint): string {
  if (family === 'IPv6') return formatIPv6(bits);
  const value = Number(bits & 0xffffffffn);
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff].join('.');
}

/** Whether this is `::ffff:1.2.3.4` or the like, which Go's net.IP treats as the IPv4 address. */
function isMappedIPv4(bits: bigint): boolean {
  return bits >> 32n === 0xffffn;
}

const octet = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const canonicalIPv4 = new RegExp(`^${octet}(?:\\.${octet}){3}$`);

/** Returns the canonical text of an address, or undefined if it is not an address. IPv4-mapped IPv6 becomes IPv4. */
export function parseAddress(text: string): string | undefined {
  if (text.length > longestText) return undefined;
  // Nearly all addresses are canonical already. Among 100,000 endpoints not one usually has to be taken apart.
  if (canonicalIPv4.test(text)) return text;
  if (!text.includes(':')) {
    const bits = parseIPv4(text);
    return bits === undefined ? undefined : formatAddress('IPv4', bits);
  }
  const bits = parseIPv6(text);
  if (bits === undefined) return undefined;
  return formatAddress(isMappedIPv4(bits) ? 'IPv4' : 'IPv6', bits);
}

/** Reads `10.0.0.0/8` and clears the host bits. Returns undefined for anything else, also for an address without a prefix. */
export function parseCidr(text: string): Cidr | undefined {
  const [, addressText = '', prefixText = ''] = /^([\d.:a-fA-F]{1,64})\/0*(\d{1,3})$/.exec(text) ?? [];
  const family = familyOf(addressText);
  const bits = family === 'IPv4' ? parseIPv4(addressText) : parseIPv6(addressText);
  const prefix = Number(prefixText);
  if (bits === undefined || prefix > addressWidth(family)) return undefined;
  const shift = BigInt(addressWidth(family) - prefix);
  const network = (bits >> shift) << shift;
  if (family === 'IPv6' && prefix >= 96 && isMappedIPv4(network)) {
    return { family: 'IPv4', address: formatAddress('IPv4', network), prefix: prefix - 96 };
  }
  return { family, address: formatAddress(family, network), prefix };
}

export function formatCidr(cidr: Cidr): string {
  return `${cidr.address}/${cidr.prefix}`;
}

export function cidrContains(cidr: Cidr, canonicalAddress: string): boolean {
  if (familyOf(canonicalAddress) !== cidr.family) return false;
  const shift = BigInt(addressWidth(cidr.family) - cidr.prefix);
  return addressBits(canonicalAddress) >> shift === addressBits(cidr.address) >> shift;
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
export function joinHostPort(canonicalAddress: string, port: number): string {
  return familyOf(canonicalAddress) === 'IPv6' ? `[${canonicalAddress}]:${port}` : `${canonicalAddress}:${port}`;
}

/** 127.0.0.0/8 or ::1. */
export function isLoopback(canonicalAddress: string): boolean {
  return canonicalAddress === '::1' || canonicalAddress.startsWith('127.');
}

/** fe80::/10. A service proxy does not treat link-local IPv4 addresses specially. */
export function isLinkLocalIPv6(canonicalAddress: string): boolean {
  return /^fe[89ab][0-9a-f]:/.test(canonicalAddress);
}

/** Whether an interface can have the address: it is not unspecified, multicast or reserved (0.0.0.0/8, 224.0.0.0/3, ff00::/8). */
export function isUnicast(canonicalAddress: string): boolean {
  if (familyOf(canonicalAddress) === 'IPv6')
    return canonicalAddress !== '::' && !/^ff[0-9a-f]{2}:/.test(canonicalAddress);
  const first = Number.parseInt(canonicalAddress, 10);
  return first > 0 && first < 224;
}
