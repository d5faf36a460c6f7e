/** Reads unchecked JSON: a value of a wrong type counts as absent. */
import { parseAddress } from '../../model/address';
import type { ClusterWarning } from '../../model/cluster';
import type { Protocol } from '../../model/protocol';

export type Warn = (warning: ClusterWarning) => void;
/** Warns about the object that is being decoded. */
export type WarnOf = (kind: string, message: string) => void;
export type Fields = Readonly<Record<string, unknown>>;

const noFields: Fields = {};
const noList: readonly unknown[] = [];
const noTexts: readonly string[] = [];

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : noFields;
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : noList;
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Formats any value for a warning: short, and on one line. */
export function quote(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return value === undefined || value === null ? 'nothing' : Array.isArray(value) ? 'a list' : 'an object';
}

const labelPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/** Whether it is an RFC 1123 label, as the names of namespaces, Services and ports, which appear in the rules' comments. */
export function isLabel(text: string): boolean {
  return text.length <= 63 && labelPattern.test(text);
}

/** Whether it is a name of a slice, Endpoints, Node or pod. Kubernetes limits the whole length, not the parts between the dots. */
export function isSubdomain(text: string): boolean {
  return text.length <= 253 && text.split('.').every((part) => labelPattern.test(part));
}

/** Whether it is the value of a label, which may be empty. */
export function isLabelValue(text: string): boolean {
  return text.length <= 63 && /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/.test(text);
}

export function isWholeWithin(value: unknown, least: number, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}

export function isPort(value: unknown): value is number {
  return isWholeWithin(value, 1, 65535);
}

/** Returns TCP when there is no protocol, as the API server does, and undefined when it is not a protocol of Services. */
export function protocolOf(value: unknown): Protocol | undefined {
  if (value === undefined || value === null || value === '') return 'TCP';
  return value === 'TCP' || value === 'UDP' || value === 'SCTP' ? value : undefined;
}

/** Describes a port for a warning: `port "http" 80 "TCP"`. */
export function quotePort({ name, port, protocol }: Fields): string {
  return `port ${quote(name)} ${quote(port)}${protocol === undefined ? '' : ` ${quote(protocol)}`}`;
}

/** Returns the canonical addresses among these, each once. Leaves out blank ones without a warning, as kube-proxy does. */
export function decodeAddresses(values: readonly unknown[], what: string, warn: WarnOf): string[] {
  const addresses = new Set<string>();
  for (const value of values) {
    if (typeof value === 'string' && value.trim() === '') continue;
    const address = parseAddress(textOf(value));
    if (address === undefined) warn('bad-address', `${what}: ${quote(value)} is not an IP address`);
    else addresses.add(address);
  }
  return [...addresses];
}

/** Whether objects of a kind have no namespace. */
export function isClusterWide(kind: string): boolean {
  return kind === 'Node' || kind === 'ServiceCIDR';
}

export interface ObjectIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Fields;
  readonly annotations: Fields;
  readonly warn: WarnOf;
}

/** Returns the identity of an object, or warns and returns undefined when its name or namespace is unusable. */
export function decodeIdentity(
  object: unknown,
  kind: string,
  isName: (text: string) => boolean,
  warn: Warn,
): ObjectIdentity | undefined {
  const metadata = fieldsOf(fieldsOf(object).metadata);
  const namespace = textOf(metadata.namespace);
  const name = textOf(metadata.name);
  const path = isClusterWide(kind) ? quote(name) : `${quote(namespace)}/${quote(name)}`;
  const isFit = isName(name) && (isClusterWide(kind) || isLabel(namespace));
  const described = `${kind} ${isFit ? path.replaceAll('"', '') : path}`;
  const warnOf: WarnOf = (warningKind, message) => warn({ object: described, kind: warningKind, message });
  if (!isFit) {
    warnOf('bad-name', 'has no usable name and namespace: ignored');
    return undefined;
  }
  return {
    namespace,
    name,
    labels: fieldsOf(metadata.labels),
    annotations: fieldsOf(metadata.annotations),
    warn: warnOf,
  };
}

const sharedTexts = new Map<string, string>();
const sharedLists = new Map<string, readonly string[]>();
/** More than a cluster has nodes. Beyond this the cache starts empty again. */
const mostShared = 20_000;

/** Returns one string for equal texts. For texts that many endpoints repeat: node names and zones. */
export function share(text: string): string {
  const shared = sharedTexts.get(text);
  if (shared !== undefined) return shared;
  if (sharedTexts.size >= mostShared) sharedTexts.clear();
  sharedTexts.set(text, text);
  return text;
}

/** Like share, for lists of texts. */
export function shareList(texts: readonly string[]): readonly string[] {
  if (texts.length === 0) return noTexts;
  const key = JSON.stringify(texts);
  const shared = sharedLists.get(key);
  if (shared !== undefined) return shared;
  if (sharedLists.size >= mostShared) sharedLists.clear();
  sharedLists.set(key, texts);
  return texts;
}
