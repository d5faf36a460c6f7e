/**
 * Encodes writes of virtual servers as messages of the generic netlink family IPVS (linux/ip_vs.h), byte for byte as ipvsadm sends
 * them, and decodes what is read. Pure.
 */
import { attributeEnd, AttributeWriter, findAttribute } from '../../../host/netlink-attributes';
import { addressBits, type Family, formatAddress, joinHostPort } from '../../../model/address';
import { protocolNumbers } from '../../../model/protocol';
import { parseServerOptions, serverFlags, type ServerOptions } from './server-options';
import type { Destination, DestinationConnections, ServerWrite } from './virtual-server';

/** The name of the generic netlink family. */
export const familyName = 'IPVS';

/** struct genlmsghdr: command, version, and two unused bytes. */
const headerBytes = 4;
const version = 1;

const command = {
  newServer: 1,
  setServer: 2,
  deleteServer: 3,
  getServer: 4,
  newDestination: 5,
  setDestination: 6,
  deleteDestination: 7,
  getDestination: 8,
  setConfig: 12,
  getInfo: 15,
} as const;

const commandOf: Readonly<Record<ServerWrite['op'], number>> = {
  'add-server': command.newServer,
  'edit-server': command.setServer,
  'delete-server': command.deleteServer,
  'add-destination': command.newDestination,
  'edit-destination': command.setDestination,
  'delete-destination': command.deleteDestination,
};

/** IPVS_CMD_ATTR_, IPVS_SVC_ATTR_ and IPVS_DEST_ATTR_. */
const attribute = { server: 1, destination: 2, timeoutTcp: 4, timeoutTcpFin: 5, timeoutUdp: 6 } as const;
const ofServer = {
  family: 1,
  protocol: 2,
  address: 3,
  port: 4,
  mark: 5,
  scheduler: 6,
  flags: 7,
  timeout: 8,
  netmask: 9,
} as const;
const ofDestination = {
  address: 1,
  port: 2,
  forwarding: 3,
  weight: 4,
  upperThreshold: 5,
  lowerThreshold: 6,
  active: 7,
  inactive: 8,
  family: 11,
  tunnelType: 13,
  tunnelPort: 14,
  tunnelFlags: 15,
} as const;

const forwarding = { masquerade: 0, direct: 3 } as const;
const familyNumbers = { IPv4: 2, IPv6: 10 } as const;
const numberOfProtocol: ReadonlyMap<string, number> = new Map(Object.entries(protocolNumbers));
const protocolOfNumber = new Map(Array.from(numberOfProtocol, ([name, number]) => [number, name]));
/** Both families use struct in6_addr. */
const addressBytes = 16;
/** A netmask for IPv4, a prefix length for IPv6. */
const wholeAddress = { IPv4: 0xffffffff, IPv6: 128 } as const;

/** No write is longer. The kernel's names of schedulers have 15 characters at most. */
export const longestWriteBytes = 256;

interface HostPort {
  readonly address: string;
  readonly port: number;
}

function splitHostPort(text: string, start = 0): HostPort {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  return text[start] === '['
    ? { address: text.slice(start + 1, colon - 1), port }
    : { address: text.slice(start, colon), port };
}

function writeAddress(writer: AttributeWriter, type: number, address: string, family: Family): void {
  const at = writer.room(type, addressBytes);
  const bits = addressBits(address);
  if (family === 'IPv4') writer.message.writeUInt32BE(Number(bits), at);
  else {
    writer.message.writeBigUInt64BE(bits >> 64n, at);
    writer.message.writeBigUInt64BE(bits & 0xffffffffffffffffn, at + 8);
  }
}

/** Writes what identifies a server. */
function writeIdentity(writer: AttributeWriter, family: Family, server: string): void {
  const space = server.indexOf(' ');
  const kind = server.slice(0, space);
  writer.uint16(ofServer.family, familyNumbers[family]);
  if (kind === 'FWM') {
    writer.uint32(ofServer.mark, Number(server.slice(space + 1)));
    return;
  }
  const { address, port } = splitHostPort(server, space + 1);
  writer.uint16(ofServer.protocol, numberOfProtocol.get(kind) ?? 0);
  writeAddress(writer, ofServer.address, address, family);
  writer.uint16BE(ofServer.port, port);
}

const noOptions: ServerOptions = { scheduler: '', persistenceSeconds: 0, flags: 0 };

function writeServer(writer: AttributeWriter, family: Family, server: string, options: ServerOptions): void {
  const { scheduler, persistenceSeconds, flags } = options;
  writer.nested(attribute.server, () => {
    writeIdentity(writer, family, server);
    writer.string(ofServer.scheduler, scheduler);
    // struct ip_vs_flags: the flags, and a mask of those that are given.
    const at = writer.room(ofServer.flags, 8);
    writer.message.writeUInt32LE(flags | (persistenceSeconds > 0 ? serverFlags.persistent : 0), at);
    writer.message.writeUInt32LE(0xffffffff, at + 4);
    writer.uint32(ofServer.timeout, persistenceSeconds);
    writer.uint32(ofServer.netmask, wholeAddress[family]);
  });
}

type DestinationWrite = Extract<ServerWrite, { readonly destination: Destination }>;

function writeDestination(writer: AttributeWriter, family: Family, write: DestinationWrite): void {
  const { address, port } = splitHostPort(write.destination);
  const isGone = write.op === 'delete-destination';
  writer.nested(attribute.destination, () => {
    writer.uint16(ofDestination.family, familyNumbers[family]);
    writeAddress(writer, ofDestination.address, address, family);
    writer.uint16BE(ofDestination.port, port);
    // For a deletion the kernel reads only address and port. The rest is what ipvsadm sends.
    writer.uint32(ofDestination.forwarding, isGone ? forwarding.direct : forwarding.masquerade);
    writer.uint32(ofDestination.weight, isGone ? 1 : write.weight);
    writer.uint8(ofDestination.tunnelType, 0);
    writer.uint16(ofDestination.tunnelPort, 0);
    writer.uint16(ofDestination.tunnelFlags, 0);
    writer.uint32(ofDestination.upperThreshold, 0);
    writer.uint32(ofDestination.lowerThreshold, 0);
  });
}

function startMessage(message: Buffer, at: number, which: number): AttributeWriter {
  message.writeUInt32LE(which | (version << 8), at);
  return new AttributeWriter(message, at + headerBytes);
}

/** Writes the payload into the message, at most longestWriteBytes from `at`, and returns where it ends. */
export function encodeServerWrite(write: ServerWrite, family: Family, message: Buffer, at: number): number {
  const writer = startMessage(message, at, commandOf[write.op]);
  writeServer(writer, family, write.server, 'options' in write ? parseServerOptions(write.options) : noOptions);
  if ('destination' in write) writeDestination(writer, family, write);
  return writer.end;
}

function encode(which: number, attributes: (writer: AttributeWriter) => void): Buffer {
  const message = Buffer.alloc(longestWriteBytes);
  const writer = startMessage(message, 0, which);
  attributes(writer);
  return message.subarray(0, writer.end);
}

/** 0 leaves a timeout as it is. */
export interface IpvsTimeouts {
  readonly tcpSeconds: number;
  readonly tcpFinSeconds: number;
  readonly udpSeconds: number;
}

export function encodeTimeouts({ tcpSeconds, tcpFinSeconds, udpSeconds }: IpvsTimeouts): Buffer {
  return encode(command.setConfig, (writer) => {
    writer.uint32(attribute.timeoutTcp, tcpSeconds);
    writer.uint32(attribute.timeoutTcpFin, tcpFinSeconds);
    writer.uint32(attribute.timeoutUdp, udpSeconds);
  });
}

/** Asks for the version of IPVS. The kernel refuses with EPERM when this process may not program IPVS. */
export function encodeInfoRequest(): Buffer {
  return encode(command.getInfo, () => undefined);
}

/** Asks for one server, or for a dump of all servers of both families. */
export function encodeServerRequest(family?: Family, server?: string): Buffer {
  return encode(command.getServer, (writer) => {
    if (family === undefined || server === undefined) return;
    writer.nested(attribute.server, () => {
      writeIdentity(writer, family, server);
    });
  });
}

/** Asks for a dump of a server's destinations. */
export function encodeDestinationsRequest(family: Family, server: string): Buffer {
  return encode(command.getDestination, (writer) => {
    writer.nested(attribute.server, () => {
      writeIdentity(writer, family, server);
    });
  });
}

/** The span of the attributes inside an attribute of the message. */
function findNested(message: Buffer, type: number): { readonly start: number; readonly end: number } | undefined {
  const start = findAttribute(message, headerBytes, message.length, type);
  return start < 0 ? undefined : { start, end: attributeEnd(message, start) };
}

class AttributeReader {
  constructor(
    readonly message: Buffer,
    readonly span: { readonly start: number; readonly end: number },
  ) {}

  /** Returns -1 when there is none. */
  find(type: number): number {
    return findAttribute(this.message, this.span.start, this.span.end, type);
  }

  uint16(type: number): number | undefined {
    const at = this.find(type);
    return at < 0 ? undefined : this.message.readUInt16LE(at);
  }

  uint32(type: number): number | undefined {
    const at = this.find(type);
    return at < 0 ? undefined : this.message.readUInt32LE(at);
  }

  hostPort(family: Family, addressType: number, portType: number): string {
    const address = this.find(addressType);
    const hex = this.message.toString('hex', address, address + (family === 'IPv4' ? 4 : addressBytes));
    const port = this.find(portType);
    return joinHostPort(formatAddress(family, BigInt(`0x${hex}`)), this.message.readUInt16BE(port));
  }
}

export interface DestinationState extends DestinationConnections {
  readonly weight: number;
}

/** Returns undefined for a message that is not about a destination. */
export function decodeDestination(payload: Buffer, serverFamily: Family): DestinationState | undefined {
  const span = findNested(payload, attribute.destination);
  if (span === undefined) return undefined;
  const reader = new AttributeReader(payload, span);
  // Kernels before 3.18 do not tell the family: there it is always the server's.
  const number = reader.uint16(ofDestination.family) ?? familyNumbers[serverFamily];
  const family = number === familyNumbers.IPv6 ? 'IPv6' : 'IPv4';
  return {
    destination: reader.hostPort(family, ofDestination.address, ofDestination.port),
    weight: reader.uint32(ofDestination.weight) ?? 0,
    connections: (reader.uint32(ofDestination.active) ?? 0) + (reader.uint32(ofDestination.inactive) ?? 0),
  };
}

export interface ServerState {
  readonly server: string;
  readonly family: Family;
  readonly options: ServerOptions;
}

/** Returns undefined for a message that is not about a server, and for servers of protocols that Services do not have. */
export function decodeServer(payload: Buffer): ServerState | undefined {
  const span = findNested(payload, attribute.server);
  if (span === undefined) return undefined;
  const reader = new AttributeReader(payload, span);
  const family = reader.uint16(ofServer.family) === familyNumbers.IPv6 ? 'IPv6' : 'IPv4';
  const mark = reader.uint32(ofServer.mark);
  const protocol = protocolOfNumber.get(reader.uint16(ofServer.protocol) ?? 0);
  if (mark === undefined && protocol === undefined) return undefined;
  const at = reader.find(ofServer.scheduler);
  const flags = reader.uint32(ofServer.flags) ?? 0;
  return {
    server:
      mark === undefined ? `${protocol} ${reader.hostPort(family, ofServer.address, ofServer.port)}` : `FWM ${mark}`,
    family,
    options: {
      scheduler: payload.toString('latin1', at, attributeEnd(payload, at) - 1),
      persistenceSeconds: (flags & serverFlags.persistent) === 0 ? 0 : (reader.uint32(ofServer.timeout) ?? 0),
      flags: flags & ~(serverFlags.persistent | serverFlags.hashed),
    },
  };
}
