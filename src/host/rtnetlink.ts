/** Links and addresses of this network namespace over rtnetlink. */
import { addressBits, addressWidth, type Family, formatAddress } from '../model/address';
import { NetlinkError, NetlinkSocket, netlinkProtocols } from './netlink';
import { attributeEnd, encodeAttribute, encodeNested, findAttribute } from './netlink-attributes';

/** linux/rtnetlink.h, if_link.h and if_addr.h. */
export const linkMessages = { add: 16, delete: 17, get: 18, headerBytes: 16 } as const;
export const addressMessages = { add: 20, delete: 21, get: 22, headerBytes: 8 } as const;
const linkAttributes = { name: 3, info: 18, infoKind: 1 } as const;
const addressAttributes = { address: 1, local: 2 } as const;
const createFlags = 0x600; // NLM_F_CREATE | NLM_F_EXCL
/** What is there already costs an answer otherwise, and answers cost more than the change. */
const replaceFlags = 0x500; // NLM_F_CREATE | NLM_F_REPLACE
const noDuplicateDetection = 2; // IFA_F_NODAD
const familyNumbers = { IPv4: 2, IPv6: 10 } as const;
const familyOfNumber: ReadonlyMap<number, Family> = new Map([
  [familyNumbers.IPv4, 'IPv4'],
  [familyNumbers.IPv6, 'IPv6'],
]);

/** Changes that are made ready at once: the event loop goes on between such chunks. */
const changesAtOnce = 256;

/** struct ifinfomsg: the index is at 4. */
export function decodeLink(payload: Buffer): readonly [index: number, name: string] | undefined {
  const at = findAttribute(payload, linkMessages.headerBytes, payload.length, linkAttributes.name);
  if (at < 0) return undefined;
  return [payload.readInt32LE(4), payload.toString('latin1', at, attributeEnd(payload, at) - 1)];
}

/** struct ifaddrmsg: the interface's index is at 4. */
export function decodeAddressLink(payload: Buffer): number {
  return payload.readInt32LE(4);
}

/** struct ifaddrmsg: family, prefix length. */
export function decodeAddress(
  payload: Buffer,
): { readonly address: string; readonly family: Family; readonly prefix: number } | undefined {
  const family = familyOfNumber.get(payload.readUInt8(0));
  // On a point-to-point link IFA_ADDRESS is the other side's.
  const local = findAttribute(payload, addressMessages.headerBytes, payload.length, addressAttributes.local);
  const at =
    local >= 0 ? local : findAttribute(payload, addressMessages.headerBytes, payload.length, addressAttributes.address);
  if (family === undefined || at < 0) return undefined;
  return { address: decodeAddressBytes(payload, at, family), family, prefix: payload.readUInt8(1) };
}

/** kube-ipvs0 has one for each Service: IPv4 without the detour by BigInt. */
function decodeAddressBytes(payload: Buffer, at: number, family: Family): string {
  if (family === 'IPv4') return payload.subarray(at, at + 4).join('.');
  return formatAddress(family, BigInt(`0x${payload.toString('hex', at, at + 16)}`));
}

/** By name; with a kind, of that kind. */
export function encodeLink(name: string, kind?: string): Buffer {
  const attributes = [encodeAttribute(linkAttributes.name, Buffer.from(`${name}\0`, 'latin1'))];
  if (kind !== undefined) {
    const info = encodeAttribute(linkAttributes.infoKind, Buffer.from(kind, 'latin1'));
    attributes.push(encodeNested(linkAttributes.info, info));
  }
  return Buffer.concat([Buffer.alloc(linkMessages.headerBytes), ...attributes]);
}

/** The addresses of a family that one link has, where the kernel looks at the index: it need not. */
export function encodeAddressDump(family: Family, index: number): Buffer {
  const header = Buffer.alloc(addressMessages.headerBytes);
  header.writeUInt8(familyNumbers[family], 0);
  header.writeInt32LE(index, 4);
  return header;
}

/** One address of a link, with the prefix of a host; nobody is asked whether it has it already. */
export function encodeHostAddress(canonicalAddress: string, family: Family, index: number): Buffer {
  const header = encodeAddressDump(family, index);
  header.writeUInt8(addressWidth(family), 1);
  if (family === 'IPv6') header.writeUInt8(noDuplicateDetection, 2);
  const address = encodeAddressBytes(canonicalAddress, family);
  const local = encodeAttribute(addressAttributes.local, address);
  return Buffer.concat([header, local, encodeAttribute(addressAttributes.address, address)]);
}

function encodeAddressBytes(canonicalAddress: string, family: Family): Uint8Array {
  if (family === 'IPv4') return Uint8Array.from(canonicalAddress.split('.'), Number);
  return Buffer.from(addressBits(canonicalAddress).toString(16).padStart(32, '0'), 'hex');
}

/** An address that the kernel refused, among others that it took. */
export class AddressError extends Error {
  override readonly name = 'AddressError';
  constructor(
    /** errno's name. */
    readonly code: string,
    readonly address: string,
    refused: number,
  ) {
    super(`${address}: ${code}${refused > 1 ? ` (and ${refused - 1} more addresses)` : ''}`);
  }
}

/** Of all but close: throws NetlinkError, or NetlinkUnavailableError. */
export class Rtnetlink {
  readonly #socket = new NetlinkSocket(netlinkProtocols.route);

  /** The link's index. */
  async findLink(name: string): Promise<number | undefined> {
    try {
      const [answer] = await this.#socket.request(linkMessages.get, 0, encodeLink(name));
      return answer === undefined ? undefined : decodeLink(answer.payload)?.[0];
    } catch (error) {
      if (isRefusal(error, ['ENODEV'])) return undefined;
      throw error;
    }
  }

  /** A link of this name that is there already will do. */
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

  /** All that can be added are. Throws AddressError too; an address that is there already is none. */
  addHostAddresses(family: Family, index: number, addresses: readonly string[]): Promise<void> {
    return this.#change(addressMessages.add, replaceFlags, [], family, index, addresses);
  }

  /** All that can be deleted are. Throws AddressError too; an address that is gone, or whose link is, is none. */
  deleteHostAddresses(family: Family, index: number, addresses: readonly string[]): Promise<void> {
    return this.#change(addressMessages.delete, 0, ['EADDRNOTAVAIL', 'ENXIO', 'ENODEV'], family, index, addresses);
  }

  close(): void {
    this.#socket.close();
  }

  async #change(
    type: number,
    flags: number,
    allowed: readonly string[],
    family: Family,
    index: number,
    addresses: readonly string[],
  ): Promise<void> {
    const refused: { readonly address: string; readonly code: string }[] = [];
    const change = async (address: string): Promise<void> => {
      try {
        await this.#socket.request(type, flags, encodeHostAddress(address, family, index));
      } catch (error) {
        if (!(error instanceof NetlinkError)) throw error;
        if (!allowed.includes(error.code)) refused.push({ address, code: error.code });
      }
    };
    for (let at = 0; at < addresses.length; at += changesAtOnce)
      await Promise.all(addresses.slice(at, at + changesAtOnce).map(change));
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
