/** Statements as the expressions that nft makes of them. Pure. */
import { hostCidr, parseCidr } from '../../model/address';
import {
  changes,
  connectionKeys,
  type ExpressionWriter,
  metaKeys,
  operators,
  payloadBase,
  register,
  verdictCodes,
} from './driver-expressions';
import { addressBytes, protocolNumber } from './driver-values';
import type { Selector, Statement } from './objects';

const destinationPort = { base: payloadBase.transport, offset: 2, length: 2 } as const;
export const addressOffset = {
  IPv4: { source: 12, destination: 16 },
  IPv6: { source: 8, destination: 24 },
} as const;
/** The bits of NF_CT_STATE_NEW, NF_CT_STATE_ESTABLISHED and _RELATED together, and IPS_DST_NAT. */
export const connectionBits = { new: 8, old: 6, dnat: 0x20 } as const;
/** RTN_LOCAL */
const localAddress = 2;
/** IFNAMSIZ */
const interfaceNameBytes = 16;

type OfKind<K extends Statement['kind']> = Extract<Statement, { kind: K }>;
type PriorityChange = OfKind<'set-priority' | 'remember' | 'forget'>;
type Action = OfKind<
  'set-mark' | 'flip-mark' | 'dnat' | 'jump' | 'goto' | 'accept' | 'drop' | 'return' | 'reject' | 'masquerade'
>;
type Match = Exclude<Statement, Action | PriorityChange | OfKind<'vmap'>>;

export function writeStatement(to: ExpressionWriter, statement: Statement): void {
  switch (statement.kind) {
    case 'vmap':
      writeKey(to, statement.key);
      to.lookupVerdict(statement.map);
      break;
    case 'set-priority':
    case 'remember':
    case 'forget':
      writePriorityChange(to, statement);
      break;
    case 'set-mark':
    case 'flip-mark':
    case 'dnat':
    case 'jump':
    case 'goto':
    case 'accept':
    case 'drop':
    case 'return':
    case 'reject':
    case 'masquerade':
      writeAction(to, statement);
      break;
    default:
      writeMatch(to, statement);
  }
}

function writeMatch(to: ExpressionWriter, match: Match): void {
  switch (match.kind) {
    case 'address':
      writeAddressMatch(to, match);
      break;
    case 'interface':
      to.loadMeta(metaKeys.inputName);
      to.compare(operatorOf(match.isNot), interfaceBytes(match.name));
      break;
    case 'is-local':
      to.loadTypeOfAddress(match.side);
      to.compare(operators.equal, number(localAddress));
      break;
    case 'ct-state-new':
      to.loadConnection(connectionKeys.state);
      writeBitTest(to, connectionBits.new);
      break;
    case 'ct-state-old':
      to.loadConnection(connectionKeys.state);
      writeBitTest(to, connectionBits.old);
      break;
    case 'ct-status-dnat':
      to.loadConnection(connectionKeys.status);
      writeBitTest(to, connectionBits.dnat);
      break;
    case 'has-mark':
      to.loadMeta(metaKeys.mark);
      writeBitTest(to, match.mark);
      break;
    case 'protocol':
      to.loadMeta(metaKeys.protocol);
      to.compare(operators.equal, Buffer.from([protocolNumber(match.protocol)]));
      break;
    case 'in-set':
      writeKey(to, match.key);
      to.inSet(match.set, match.isNot === true);
  }
}

/** The packet's priority, and the map of which it is the data. */
function writePriorityChange(to: ExpressionWriter, change: PriorityChange): void {
  switch (change.kind) {
    case 'set-priority':
      writeKey(to, change.key);
      to.lookupValue(change.map);
      to.setMeta(metaKeys.priority);
      break;
    case 'remember':
    case 'forget': {
      const data = register(4);
      loadAddress(to, 'source', register(0));
      to.loadMeta(metaKeys.priority, data);
      const isNew = change.kind === 'remember';
      to.changeElement(change.map, {
        change: isNew ? changes.update : changes.delete,
        data,
        ...(isNew && { timeoutMs: 1000 * change.seconds }),
      });
    }
  }
}

function writeAction(to: ExpressionWriter, action: Action): void {
  switch (action.kind) {
    case 'set-mark':
      writeMark(to, ~action.mark, action.mark);
      break;
    case 'flip-mark':
      writeMark(to, 0xffffffff, action.mark);
      break;
    case 'dnat':
      writeKey(to, action.key);
      to.lookupValue(action.map);
      to.dnat();
      break;
    case 'masquerade':
      to.masquerade();
      break;
    case 'reject':
      to.reject();
      break;
    case 'jump':
    case 'goto':
      to.verdict(verdictCodes[action.kind], action.chain);
      break;
    default:
      to.verdict(verdictCodes[action.kind]);
  }
}

/** As nft does it: whole bytes are loaded alone, and other prefixes are cut by a mask. */
function writeAddressMatch(to: ExpressionWriter, { side, isNot, cidr }: OfKind<'address'>): void {
  const parsed = parseCidr(cidr.includes('/') ? cidr : hostCidr(cidr));
  if (parsed === undefined) throw new TypeError(`"${cidr}" is no CIDR`);
  const { address, prefix } = parsed;
  const bytes = addressBytes(address);
  const base = payloadBase.network;
  const offset = addressOffset[to.family][side];
  if (prefix % 8 === 0 && prefix > 0) {
    to.payload({ base, offset, length: prefix / 8 });
    to.compare(operatorOf(isNot), bytes.subarray(0, prefix / 8));
    return;
  }
  to.payload({ base, offset, length: bytes.length });
  const bitsIn = (byte: number): number => Math.min(8, Math.max(0, prefix - 8 * byte));
  to.mask(Buffer.from(bytes.map((_, i) => 0xff00 >> bitsIn(i))), Buffer.alloc(bytes.length));
  to.compare(operatorOf(isNot), bytes);
}

function interfaceBytes(name: string): Buffer {
  const isPrefix = name.endsWith('*');
  const bytes = Buffer.alloc(isPrefix ? name.length - 1 : interfaceNameBytes);
  bytes.write(name.slice(0, isPrefix ? -1 : undefined), 'latin1');
  return bytes;
}

/** Goes on where one of the bits is set. */
function writeBitTest(to: ExpressionWriter, bits: number): void {
  to.mask(number(bits), number(0));
  to.compare(operators.unequal, number(0));
}

function writeMark(to: ExpressionWriter, mask: number, xor: number): void {
  to.loadMeta(metaKeys.mark);
  to.mask(number(mask), number(xor));
  to.setMeta(metaKeys.mark);
}

/** Loads the parts of a key, each at the start of four bytes. */
function writeKey(to: ExpressionWriter, key: readonly Selector[]): void {
  const slotsOf = ({ kind }: Selector): number =>
    to.family === 'IPv6' && (kind === 'source' || kind === 'destination') ? 4 : 1;
  const all = key.reduce((sum, selector) => sum + slotsOf(selector), 0);
  let slot = 0;
  for (const selector of key) {
    writeSelector(to, selector, { into: register(slot), beside: register(all + 4) });
    slot += slotsOf(selector);
  }
}

interface KeyRegisters {
  readonly into: number;
  /** One that is no part of the key. */
  readonly beside: number;
}

function writeSelector(to: ExpressionWriter, selector: Selector, { into, beside }: KeyRegisters): void {
  switch (selector.kind) {
    case 'source':
    case 'destination':
      loadAddress(to, selector.kind, into);
      break;
    case 'protocol':
      to.loadMeta(metaKeys.protocol, into);
      break;
    case 'port':
      to.payload(destinationPort, into);
      break;
    case 'priority':
      to.loadMeta(metaKeys.priority, into);
      break;
    case 'numgen':
      to.loadNumber(selector.mode, selector.modulus, into);
      break;
    case 'hash':
      loadAddress(to, 'source', beside);
      to.hash(selector, beside, into);
  }
}

function loadAddress(to: ExpressionWriter, side: 'source' | 'destination', into: number): void {
  const length = to.family === 'IPv4' ? 4 : 16;
  to.payload({ base: payloadBase.network, offset: addressOffset[to.family][side], length }, into);
}

function operatorOf(isNot: boolean): number {
  return isNot ? operators.unequal : operators.equal;
}

/** In the machine's byte order. */
function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
