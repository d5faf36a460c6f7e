/**
 * User data: what nft keeps in the kernel for its own listing, as type, length and value of one byte, one byte and some. Only forms that nft
 * 1.0.1 and later write are here, since an older nft crashes on some that a newer one wrote. Pure.
 */
import type { Family } from '../../model/address';
import { metaKeys } from './driver-expressions';
import { type Field, mostCommentBytes, type SetObject } from './objects';
import { needsTypeof } from './print';

/** What a comment is of, and its type there. */
const commentTypes = { table: 0, rule: 0, element: 0, set: 7 } as const;

/** NFTNL_UDATA_SET_ */
const ofSet = { keyByteOrder: 0, dataByteOrder: 1, keyTypeof: 3, dataTypeof: 4 } as const;
/** enum byteorder; nft gives none to values of several fields. */
const byteOrders = { none: 0, machine: 1, network: 2 } as const;
/** NFTNL_UDATA_SET_TYPEOF_ */
const ofTypeof = { expression: 0, data: 1 } as const;
/** enum expr_types of nft */
const expressionTypes = { payload: 7, meta: 9, concat: 13, numgen: 23 } as const;
/** enum proto_desc_id */
const protocolDescriptions = { IPv4: 12, IPv6: 13, transport: 11 } as const;
/** The destination's address and port in their headers, by nft's own numbers. */
const headerFields = { IPv4: 12, IPv6: 9, port: 2 } as const;

/** Longer ones are cut. */
export function encodeComment(owner: keyof typeof commentTypes, comment: string): Buffer {
  return entry(commentTypes[owner], Buffer.from(`${comment.slice(0, mostCommentBytes)}\0`, 'latin1'));
}

export function encodeSetUserData(set: SetObject, family: Family): Buffer {
  const { key, data, comment } = set;
  const parts = [number(ofSet.keyByteOrder, byteOrderOf(key))];
  if (data !== undefined)
    parts.push(number(ofSet.dataByteOrder, data === 'verdict' ? byteOrders.none : byteOrderOf(data)));
  if (needsTypeof(set)) {
    parts.push(entry(ofSet.keyTypeof, encodeTypeof(key, family)));
    if (data !== undefined && data !== 'verdict') parts.push(entry(ofSet.dataTypeof, encodeTypeof(data, family)));
  }
  if (comment !== undefined) parts.push(encodeComment('set', comment));
  return Buffer.concat(parts);
}

function byteOrderOf([first, ...others]: readonly Field[]): number {
  if (others.length > 0) return byteOrders.none;
  return first === 'index' || first === 'priority' ? byteOrders.machine : byteOrders.network;
}

/** `ip daddr . meta l4proto . th dport` */
function encodeTypeof(fields: readonly Field[], family: Family): Buffer {
  const [only, ...others] = fields;
  if (only !== undefined && others.length === 0) return encodeSample(only, family);
  const samples = fields.map((field, i) => entry(i, encodeSample(field, family)));
  return Buffer.concat([
    number(ofTypeof.expression, expressionTypes.concat),
    entry(ofTypeof.data, Buffer.concat(samples)),
  ]);
}

function encodeSample(field: Field, family: Family): Buffer {
  const sample = (kind: keyof typeof expressionTypes, ...values: readonly number[]): Buffer =>
    Buffer.concat([
      number(ofTypeof.expression, expressionTypes[kind]),
      entry(ofTypeof.data, Buffer.concat(values.map((value, i) => number(i, value)))),
    ]);
  switch (field) {
    case 'address':
      return sample('payload', protocolDescriptions[family], headerFields[family]);
    case 'protocol':
      return sample('meta', metaKeys.protocol);
    case 'priority':
      return sample('meta', metaKeys.priority);
    case 'port':
      return sample('payload', protocolDescriptions.transport, headerFields.port);
    case 'index':
      // NFT_NG_RANDOM, modulus 2, offset 0.
      return sample('numgen', 1, 2, 0);
  }
}

function number(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return entry(type, bytes);
}

function entry(type: number, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([type, value.length]), value]);
}

/** Returns undefined where there is none. */
export function decodeComment(owner: keyof typeof commentTypes, userData: Buffer | undefined): string | undefined {
  if (userData === undefined) return undefined;
  for (let at = 0; at + 2 <= userData.length; ) {
    const length = userData[at + 1] ?? 0;
    if (userData[at] === commentTypes[owner]) {
      const end = Math.min(userData.length, at + 2 + length);
      return userData.toString('latin1', at + 2, userData[end - 1] === 0 ? end - 1 : end);
    }
    at += 2 + length;
  }
  return undefined;
}
