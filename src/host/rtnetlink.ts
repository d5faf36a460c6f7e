/** Links and addresses of this network namespace over rtnetlink. */
import { addressBits, addressWidth, type Family, formatAddress } from '../model/address';
import { NetlinkError, NetlinkSocket, netlinkProtocols } from './netlink';
import { attributeEnd, encodeAttribute, encodeNested, findAttribute } from './netlink-attributes';
import { type EncodeRequest, mostInBatch, NetlinkBatch } from './netlink-batch';

/** linux/rtnetlink.h, if_link.h and if_addr.h. */
export const linkMessages = { add: 16, delete: 17, get: 18, headerBytes: 16 } as const;
export const addressMessages = { add: 20, delete: 21, get: 22, headerBytes: 8 } as const;
const linkAttributes = { name: 3, info: 18, infoKind: 1 } as const;
const addressAttributes = { address: 1, local: 2 } as const;
const createFlags = 0x600; // NLM_F_CREATE | NLM_F_EXCL
/** Without NLM_F_REPLACE, the kernel answers with an error for each address that exists, and answers cost more than changes. */
const replaceFlags = 0x500; // NLM_F_CREATE | NLM_F_REPLACE
const noDuplicateDetection = 2; // IFA_F_NODAD
const familyNumbers = { IPv4: 2, IPv6: 10 } as const;
const familyOfNumber: ReadonlyMap<number, Family> = new Map([
  [familyNumbers.IPv4, 'IPv4'],
  [familyNumbers.IPv6, 'IPv6'],
]);

/** struct ifinfomsg: the index is at offset 4. */
export function decodeLink(payload: Buffer): readonly [index: number, name: string] | undefined {
  const at = findAttribute(payload, linkMessages.headerBytes, payload.length, linkAttributes.name);
  if (at < 0) return undefined;
  return [payload.readInt32LE(4), payload.toString('latin1', at, attributeEnd(payload, at) - 1)];
}

/** `bridge`, `veth`, `dummy` ...; undefined for a physical device. */
export function decodeLinkKind(payload: Buffer): string | undefined {
  const info = findAttribute(payload, linkMessages.headerBytes, payload.length, linkAttributes.info);
  const kind = info < 0 ? -1 : findAttribute(payload, info, attributeEnd(payload, info), linkAttributes.infoKind);
  return kind < 0 ? undefined : payload.toString('latin1', kind, attributeEnd(payload, kind)).replace(/\0$/, '');
}

/** struct ifaddrmsg: the interface's index is at offset 4. */
export function decodeAddressLink(payload: Buffer): number {
  return payload.readInt32LE(4);
}

/** struct ifaddrmsg: the family is at offset 0, the prefix length at 1. */
export function decodeAddress(
  payload: Buffer,
): { readonly address: string; readonly family: Family; readonly prefix: number } | undefined {
  const family = familyOfNumber.get(payload.readUInt8(0));
  // On a point-to-point link IFA_ADDRESS is the address of the other side.
  const local = findAttribute(payload, addressMessages.headerBytes, payload.length, addressAttributes.local);
  const at =
    local >= 0 ? local : findAttribute(payload, addressMessages.headerBytes, payload.length, addressAttributes.address);
  if (family === undefined || at < 0) return undefined;
  return { address: decodeAddressBytes(payload, at, family), family, prefix: payload.readUInt8(1) };
}

/** There may be tens of thousands, so IPv4 does without BigInt. */
export function decodeAddressBytes(payload: Buffer, at: number, family: Family): string {
  if (family === 'IPv4') return payload.subarray(at, at + 4).join('.');
  return formatAddress(family, BigInt(`0x${payload.toString('hex', at, at + 16)}`));
}

/** Names a link; with a kind, it describes a link to be made. */
export function encodeLink(name: string, kind?: string): Buffer {
  const attributes = [encodeAttribute(linkAttributes.name, Buffer.from(`${name}\0`, 'latin1'))];
  if (kind !== undefined) {
    const info = encodeAttribute(linkAttributes.infoKind, Buffer.from(kind, 'latin1'));
    attributes.push(encodeNested(linkAttributes.info, info));
  }
  return Buffer.concat([Buffer.alloc(linkMessages.headerBytes), ...attributes]);
}

/** struct ifaddrmsg. In a dump, a kernel may ignore the index. */
function writeAddressHeader(message: Buffer, at: number, family: Family, index: number): void {
  message.fill(0, at, at + addressMessages.headerBytes);
  message.writeUInt8(familyNumbers[family], at);
  message.writeInt32LE(index, at + 4);
}

export function encodeAddressDump(family: Family, index: number): Buffer {
  const header = Buffer.alloc(addressMessages.headerBytes);
  writeAddressHeader(header, 0, family, index);
  return header;
}

const longestHostAddress = 48;

/** The addresses of one family on one link. */
export interface LinkFamily {
  readonly family: Family;
  /** The link's. */
  readonly index: number;
}

/** Writes one address of a link, with a host's prefix and without duplicate address detection. Returns where it ends. */
export function writeHostAddress(message: Buffer, at: number, address: string, { family, index }: LinkFamily): number {
  writeAddressHeader(message, at, family, index);
  const width = addressWidth(family);
  message.writeUInt8(width, at + 1);
  if (family === 'IPv6') message.writeUInt8(noDuplicateDetection, at + 2);
  const bytes = encodeAddressBytes(address, family);
  let end = at + addressMessages.headerBytes;
  for (const type of [addressAttributes.local, addressAttributes.address]) {
    message.writeUInt16LE(4 + bytes.length, end);
    message.writeUInt16LE(type, end + 2);
    message.set(bytes, end + 4);
    end += 4 + bytes.length;
  }
  return end;
}

function encodeAddressBytes(canonicalAddress: string, family: Family): Uint8Array {
  if (family === 'IPv4') return Uint8Array.from(canonicalAddress.split('.'), Number);
  return Buffer.from(addressBits(canonicalAddress).toString(16).padStart(32, '0'), 'hex');
}

/** The request for each of several addresses. */
interface AddressChange {
  readonly type: number;
  readonly flags: number;
  /** Names of errno that count as success. */
  readonly allowed: readonly string[];
}

const addition: AddressChange = { type: addressMessages.add, flags: replaceFlags, allowed: [] };
const deletion: AddressChange = {
  type: addressMessages.delete,
  flags: 0,
  allowed: ['EADDRNOTAVAIL', 'ENXIO', 'ENODEV'],
};

/** The kernel refused some of several addresses. */
class AddressError extends Error {
  override readonly name = 'AddressError';
  constructor(
    /** The name of errno. */
    readonly code: string,
    readonly address: string,
    refused: number,
  ) {
    super(`${address}: ${code}${refused > 1 ? ` (and ${refused - 1} more addresses)` : ''}`);
  }
}

/** All methods but close throw NetlinkError, or NetlinkUnavailableError. */
export class Rtnetlink {
  readonly #socket = new NetlinkSocket(netlinkProtocols.route);
  readonly #changes = new NetlinkBatch(netlinkProtocols.route, longestHostAddress);

  /** Returns the link's index, or undefined where there is no such link. */
  async findLink(name: string): Promise<number | undefined> {
    try {
      const [answer] = await this.#socket.request(linkMessages.get, 0, encodeLink(name));
      return answer === undefined ? undefined : decodeLink(answer.payload)?.[0];
    } catch (error) {
      if (isRefusal(error, ['ENODEV'])) return undefined;
      throw error;
    }
  }

  /** A link of this name that exists already is not an error. */
  async addLink(name: string, kind: string): Promise<void> {
    await this.#allow(['EEXIST'], this.#socket.request(linkMessages.add, createFlags, encodeLink(name, kind)));
  }

  async deleteLink(name: string): Promise<void> {
    await this.#allow(['ENODEV'], this.#socket.request(linkMessages.delete, 0, encodeLink(name)));
  }

  readAddresses(family: Family, index: number): Promise<string[]> {
    return this.#socket.dumpAll(addressMessages.get, encodeAddressDump(family, index), (payload) =>
      decodeAddressLink(payload) === index ? decodeAddress(payload)?.address : undefined,
    );
  }

  /** Adds all addresses that can be added, and then throws AddressError for the others. One that exists already is not an error. */
  addHostAddresses(family: Family, index: number, addresses: readonly string[]): Promise<void> {
    return this.#change(addition, { family, index }, addresses);
  }

  /** Deletes all addresses that can be deleted, and then throws AddressError for the others. One that is gone is not an error. */
  deleteHostAddresses(family: Family, index: number, addresses: readonly string[]): Promise<void> {
    return this.#change(deletion, { family, index }, addresses);
  }

  close(): void {
    this.#socket.close();
    this.#changes.close();
  }

  async #change(change: AddressChange, link: LinkFamily, addresses: readonly string[]): Promise<void> {
    const { type, flags, allowed } = change;
    const refused: { readonly address: string; readonly code: string }[] = [];
    for (let from = 0; from < addresses.length; from += mostInBatch) {
      const some = addresses.slice(from, from + mostInBatch);
      const encode: EncodeRequest = (i, message, at) => writeHostAddress(message, at, some[i] ?? '', link);
      for (const [i, code] of await this.#changes.send(type, some.length, encode, { flags }))
        if (!allowed.includes(code)) refused.push({ address: some[i] ?? '', code });
    }
    const [first] = refused;
    if (first !== undefined) throw new AddressError(first.code, first.address, refused.length);
  }

  async #allow(codes: readonly string[], request: Promise<unknown>): Promise<void> {
    await request.catch((error: unknown) => {
      if (!isRefusal(error, codes)) throw error;
    });
  }
}

function isRefusal(error: unknown, codes: readonly string[]): boolean {
  return error instanceof NetlinkError && codes.includes(error.code);
}
