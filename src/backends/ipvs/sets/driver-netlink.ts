/**
 * Reads sets over netlink, in the words of `ipset save`. The tool is slower: for every element it opens /etc/protocols and looks up the
 * protocol.
 */
import { protocolNameOf } from '../../../model/protocol';
import { NetlinkSocket, netlinkProtocols } from '../../../host/netlink';
import { attributeEnd, encodeAttribute, findAttribute } from '../../../host/netlink-attributes';
import { decodeAddressBytes } from '../../../host/rtnetlink';
import { addressWidth, type Family } from '../../../model/address';
import { knownSets, type SetType } from './names';
import type { SavedSets } from './ipset-text';

/** Numbers of linux/netfilter/ipset/ip_set.h. Messages begin with nfnetlink's header (struct nfgenmsg). */
const list = (6 << 8) | 7; // NFNL_SUBSYS_IPSET, IPSET_CMD_LIST
const headerBytes = 4;
const top = { protocol: 1, setName: 2, typeName: 3, family: 5, flags: 6, data: 7, elements: 8 } as const;
const entry = { ip: 1, port: 4, portTo: 5, timeout: 6, protocol: 7, flags: 8, ip2: 20, prefix2: 21, mark: 27 } as const;
const maxElements = 19; // IPSET_ATTR_MAXELEM
/** The latest version that old kernels support. New ones support it too. */
const protocolVersion = 6;
const headersOnly = 4; // IPSET_FLAG_LIST_HEADER
const extensions: readonly (readonly [bit: number, word: string])[] = [
  [8, 'counters'],
  [16, 'comment'],
  [32, 'forceadd'],
  [64, 'skbinfo'],
];
const familyWords: Readonly<Record<number, string>> = { 2: 'inet', 10: 'inet6' };

function encodeList(attribute: Uint8Array): Buffer {
  const version = encodeAttribute(top.protocol, Buffer.from([protocolVersion]));
  return Buffer.concat([Buffer.from([2, 0, 0, 0]), version, attribute]);
}

/** Attributes of one message, or of one attribute in it. */
class Attributes {
  readonly #message: Buffer;
  readonly #start: number;
  readonly #end: number;

  constructor(message: Buffer, start: number, end: number) {
    this.#message = message;
    this.#start = start;
    this.#end = end;
  }

  nested(type: number): Attributes | undefined {
    const at = this.#find(type);
    return at < 0 ? undefined : new Attributes(this.#message, at, attributeEnd(this.#message, at));
  }

  text(type: number): string {
    const at = this.#find(type);
    return at < 0 ? '' : this.#message.toString('latin1', at, attributeEnd(this.#message, at) - 1);
  }

  /** A number in network byte order, of any length up to 4 bytes. undefined when it is not there. */
  number(type: number): number | undefined {
    const at = this.#find(type);
    if (at < 0) return undefined;
    const bytes = attributeEnd(this.#message, at) - at;
    return this.#message.readUIntBE(at, Math.min(bytes, 4));
  }

  /** IPSET_ATTR_IPADDR_IPV4 or _IPV6. */
  address(type: number, family: Family): string {
    const inner = this.nested(type);
    const at = inner === undefined ? -1 : inner.#find(family === 'IPv4' ? 1 : 2);
    return at < 0 ? '' : decodeAddressBytes(this.#message, at, family);
  }

  /** The values of all attributes. */
  *values(): Generator<Attributes> {
    for (let at = this.#start; at + 4 <= this.#end; ) {
      const value = at + 4;
      const end = attributeEnd(this.#message, value);
      if (end < value || end > this.#end) return;
      yield new Attributes(this.#message, value, end);
      at = (end + 3) & ~3;
    }
  }

  #find(type: number): number {
    return findAttribute(this.#message, this.#start, this.#end, type);
  }
}

const attributesOf = (message: Buffer): Attributes => new Attributes(message, headerBytes, message.length);

/** `hash:ip,port family inet maxelem 65536`. */
function decodeParameters(header: Attributes): string {
  const type = header.text(top.typeName);
  const data = header.nested(top.data);
  const timeout = data?.number(entry.timeout);
  const flags = data?.number(entry.flags) ?? 0;
  const words = type.startsWith('bitmap:')
    ? [type, `range ${data?.number(entry.port) ?? ''}-${data?.number(entry.portTo) ?? ''}`]
    : [
        type,
        `family ${familyWords[header.number(top.family) ?? 0] ?? ''}`,
        `maxelem ${data?.number(maxElements) ?? ''}`,
      ];
  if (timeout !== undefined) words.push(`timeout ${timeout}`);
  for (const [bit, word] of extensions) if ((flags & bit) !== 0) words.push(word);
  return words.join(' ');
}

/** `10.96.0.10,tcp:80`. */
function decodeEntry(data: Attributes, type: SetType, family: Family): string {
  const port = data.number(entry.port) ?? 0;
  if (type === 'bitmap:port') return `${port}`;
  const address = data.address(entry.ip, family);
  if (type === 'hash:ip') return address;
  const protocol = data.number(entry.protocol) ?? 0;
  const ipPort = `${address},${protocolNameOf(protocol) ?? protocol}:${port}`;
  if (type === 'hash:ip,port' || type === 'hash:ip,port skbinfo') return ipPort;
  const source = data.address(entry.ip2, family);
  const prefix = data.number(entry.prefix2) ?? addressWidth(family);
  return `${ipPort},${source}${prefix === addressWidth(family) ? '' : `/${prefix}`}`;
}

function decodeOptions(data: Attributes): string {
  const mark = data.number(entry.mark);
  return mark === undefined ? '' : `skbmark 0x${mark.toString(16)}`;
}

/** Reads the sets of vipwire and kube-proxy. Throws NetlinkError or NetlinkUnavailableError. */
export async function readSetsByNetlink(family: Family): Promise<SavedSets> {
  const socket = new NetlinkSocket(netlinkProtocols.netfilter);
  try {
    const flags = encodeAttribute(top.flags, Buffer.from([0, 0, 0, headersOnly]));
    const headers = await socket.dumpAll(list, encodeList(flags), (payload): [string, string] | undefined => {
      const header = attributesOf(payload);
      const name = header.text(top.setName);
      return knownSets.get(name)?.family === family ? [name, decodeParameters(header)] : undefined;
    });
    const elements = new Map<string, string>();
    for (const [name] of headers) await readElements(socket, family, name, elements);
    return { sets: new Map(headers), elements };
  } finally {
    socket.close();
  }
}

async function readElements(
  socket: NetlinkSocket,
  family: Family,
  name: string,
  elements: Map<string, string>,
): Promise<void> {
  const type = knownSets.get(name)?.type ?? 'hash:ip';
  const request = encodeList(encodeAttribute(top.setName, Buffer.from(`${name}\0`, 'latin1')));
  await socket.dumpAll(list, request, (payload) => {
    for (const data of attributesOf(payload).nested(top.elements)?.values() ?? [])
      elements.set(`${name} ${decodeEntry(data, type, family)}`, decodeOptions(data));
  });
}
