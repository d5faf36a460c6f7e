/**
 * The expressions of nf_tables (linux/netfilter/nf_tables.h), with the attributes and registers that nft gives them, so that `nft list
 * ruleset` prints them as it prints its own. Pure.
 */
import type { AttributeWriter } from '../../host/netlink-attributes';
import type { Family } from '../../model/address';

const listElement = 1;
const expression = { name: 1, data: 2 } as const;
/** NFTA_DATA_ */
const dataKind = { value: 1, verdict: 2 } as const;
export const verdictPart = { code: 1, chain: 2 } as const;
/** NFT_ and NF_ */
export const verdictCodes = { drop: 0, accept: 1, return: -5, goto: -4, jump: -3 } as const;

export const payloadBase = { network: 1, transport: 2 } as const;
export const metaKeys = { priority: 2, mark: 3, inputName: 6, protocol: 16 } as const;
export const connectionKeys = { state: 0, status: 2 } as const;
/** NFT_DYNSET_OP_ */
export const changes = { update: 1, delete: 2 } as const;
export const operators = { equal: 0, unequal: 1 } as const;
const fib = { typeOfAddress: 3, source: 1, destination: 2 } as const;
/** NF_NAT_RANGE_PROTO_RANDOM_FULLY */
const fullyRandom = 0x10;
const destinationNat = 1;
const protocolFamily = { IPv4: 2, IPv6: 10 } as const;
const icmpUnreachable = 0;
/** ICMP_PORT_UNREACH, ICMPV6_PORT_UNREACH */
const portUnreachable = { IPv4: 3, IPv6: 4 } as const;

/**
 * A register by the number of its first four bytes, of sixteen: NFT_REG_1 to 4 where it starts one of these, else one of NFT_REG32_00 to
 * 15, as the kernel prints them.
 */
export function register(slot: number): number {
  return slot % 4 === 0 ? 1 + slot / 4 : 8 + slot;
}

const verdictRegister = 0;
const firstRegister = register(0);

/** Bytes of a packet. */
export interface PayloadPart {
  readonly base: number;
  readonly offset: number;
  readonly length: number;
}

export interface ElementChange {
  readonly change: number;
  /** The register with the data. */
  readonly data: number;
  readonly timeoutMs?: number;
}

/** Writes the expressions of one rule, one after the other. Without a register they work on the first. */
export class ExpressionWriter {
  readonly #writer: AttributeWriter;
  readonly family: Family;

  constructor(writer: AttributeWriter, family: Family) {
    this.#writer = writer;
    this.family = family;
  }

  payload({ base, offset, length }: PayloadPart, into = firstRegister): void {
    this.#expression('payload', (writer) => {
      writer.uint32BE(1, into);
      writer.uint32BE(2, base);
      writer.uint32BE(3, offset);
      writer.uint32BE(4, length);
    });
  }

  loadMeta(key: number, into = firstRegister): void {
    this.#expression('meta', (writer) => {
      writer.uint32BE(2, key);
      writer.uint32BE(1, into);
    });
  }

  /** To the first register. */
  setMeta(key: number): void {
    this.#expression('meta', (writer) => {
      writer.uint32BE(2, key);
      writer.uint32BE(3, firstRegister);
    });
  }

  /** Of the source's or destination's address. */
  loadTypeOfAddress(side: 'source' | 'destination'): void {
    this.#expression('fib', (writer) => {
      writer.uint32BE(1, firstRegister);
      writer.uint32BE(2, fib.typeOfAddress);
      writer.uint32BE(3, fib[side]);
    });
  }

  loadConnection(key: number): void {
    this.#expression('ct', (writer) => {
      writer.uint32BE(1, firstRegister);
      writer.uint32BE(2, key);
    });
  }

  loadNumber(mode: 'random' | 'inc', modulus: number, into: number): void {
    this.#expression('numgen', (writer) => {
      writer.uint32BE(1, into);
      writer.uint32BE(2, modulus);
      writer.uint32BE(3, mode === 'random' ? 1 : 0);
      writer.uint32BE(4, 0);
    });
  }

  /** Of as many bytes as an address has. */
  hash({ modulus, seed }: { readonly modulus: number; readonly seed: number }, from: number, into: number): void {
    this.#expression('hash', (writer) => {
      writer.uint32BE(1, from);
      writer.uint32BE(2, into);
      writer.uint32BE(3, this.family === 'IPv4' ? 4 : 16);
      writer.uint32BE(4, modulus);
      writer.uint32BE(5, seed);
      writer.uint32BE(6, 0);
      writer.uint32BE(7, 0);
    });
  }

  /** (register & mask) ^ xor */
  mask(mask: Uint8Array, xor: Uint8Array): void {
    this.#expression('bitwise', (writer) => {
      writer.uint32BE(1, firstRegister);
      writer.uint32BE(2, firstRegister);
      writer.uint32BE(3, mask.length);
      writer.uint32BE(6, 0);
      writer.nested(4, () => writer.bytes(dataKind.value, mask));
      writer.nested(5, () => writer.bytes(dataKind.value, xor));
    });
  }

  compare(operator: number, value: Uint8Array): void {
    this.#expression('cmp', (writer) => {
      writer.uint32BE(1, firstRegister);
      writer.uint32BE(2, operator);
      writer.nested(3, () => writer.bytes(dataKind.value, value));
    });
  }

  /** Of the map's element with the key in the first register. */
  changeElement(map: string, { change, data, timeoutMs }: ElementChange): void {
    this.#expression('dynset', (writer) => {
      writer.string(1, map);
      writer.uint32BE(3, change);
      writer.uint32BE(4, firstRegister);
      writer.uint32BE(5, data);
      if (timeoutMs !== undefined) writer.bytes(6, milliseconds(timeoutMs));
    });
  }

  inSet(set: string, isNot: boolean): void {
    this.#lookup(set, undefined, isNot);
  }

  lookupVerdict(map: string): void {
    this.#lookup(map, verdictRegister);
  }

  lookupValue(map: string): void {
    this.#lookup(map, firstRegister);
  }

  /** To the address and port that a lookup has left in the registers. */
  dnat(): void {
    const port = register(this.family === 'IPv4' ? 1 : 4);
    this.#expression('nat', (writer) => {
      writer.uint32BE(1, destinationNat);
      writer.uint32BE(2, protocolFamily[this.family]);
      writer.uint32BE(3, firstRegister);
      writer.uint32BE(5, port);
    });
  }

  masquerade(): void {
    this.#expression('masq', (writer) => writer.uint32BE(1, fullyRandom));
  }

  reject(): void {
    this.#expression('reject', (writer) => {
      writer.uint32BE(1, icmpUnreachable);
      writer.uint8(2, portUnreachable[this.family]);
    });
  }

  verdict(code: number, chain?: string): void {
    this.#expression('immediate', (writer) => {
      writer.uint32BE(1, verdictRegister);
      writer.nested(2, () => writeVerdict(writer, code, chain));
    });
  }

  #lookup(set: string, into: number | undefined, isNot = false): void {
    this.#expression('lookup', (writer) => {
      writer.string(1, set);
      writer.uint32BE(2, firstRegister);
      if (into !== undefined) writer.uint32BE(3, into);
      writer.uint32BE(5, isNot ? 1 : 0);
    });
  }

  #expression(name: string, write: (writer: AttributeWriter) => void): void {
    const writer = this.#writer;
    writer.nested(listElement, () => {
      writer.string(expression.name, name);
      writer.nested(expression.data, () => write(writer));
    });
  }
}

/** A time as the kernel's attributes have it. */
export function milliseconds(ms: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(Math.round(ms)));
  return bytes;
}

/** The value of a verdict map's element, and the verdict of a rule. */
export function writeVerdict(writer: AttributeWriter, code: number, chain: string | undefined): void {
  writer.nested(dataKind.verdict, () => {
    writer.uint32BE(verdictPart.code, code);
    if (chain !== undefined) writer.string(verdictPart.chain, chain);
  });
}

/** `drop`, `goto vipwire-pick-2`. Throws TypeError for what is no verdict. */
export function parseVerdict(text: string): { readonly code: number; readonly chain?: string } {
  const [word = '', chain] = text.split(' ');
  const code = Object.entries(verdictCodes).find(([name]) => name === word)?.[1];
  if (code === undefined) throw new TypeError(`"${text}" is no verdict`);
  return { code, ...(chain !== undefined && { chain }) };
}
