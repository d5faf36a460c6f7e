/** Reading JSON that nobody has checked: what is not of the wanted type counts as absent. */
import { parseAddress } from '../../model/address';
import type { ClusterWarning } from '../../model/cluster';
import type { Protocol } from '../../model/protocol';

export type Warn = (warning: ClusterWarning) => void;
/** Warns about the object in hand. */
export type WarnOf = (kind: string, message: string) => void;
export type Fields = Readonly<Record<string, unknown>>;

const noFields: Fields = {};
const noList: readonly unknown[] = [];
const noTexts: readonly string[] = [];

export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : noFields;
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : noList;
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A value as a warning shows it: short, on one line, whatever it is. */
export function quote(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return value === undefined || value === null ? 'nothing' : Array.isArray(value) ? 'a list' : 'an object';
}

const labelPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/** RFC 1123 label: names of namespaces, Services and ports, which end in rules' comments. */
export function isLabel(text: string): boolean {
  return text.length <= 63 && labelPattern.test(text);
}

/** Names of slices, Endpoints, Nodes and pods. Kubernetes limits the whole, and not the parts between the dots. */
export function isSubdomain(text: string): boolean {
  return text.length <= 253 && text.split('.').every((part) => labelPattern.test(part));
}

/** The value of a label, which may be empty. */
export function isLabelValue(text: string): boolean {
  return text.length <= 63 && /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/.test(text);
}

export function isPort(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65535;
}

/** TCP where there is none, as the API server has it; undefined for what is no protocol of Services. */
export function protocolOf(value: unknown): Protocol | undefined {
  if (value === undefined || value === null || value === '') return 'TCP';
  return value === 'TCP' || value === 'UDP' || value === 'SCTP' ? value : undefined;
}

/** A port in hand: `"http" 80 TCP`. */
export function quotePort({ name, port, protocol }: Fields): string {
  return `port ${quote(name)} ${quote(port)}${protocol === undefined ? '' : ` ${quote(protocol)}`}`;
}

/** The canonical addresses among these, each once. Blank ones are left out in silence, as kube-proxy does. */
export function decodeAddresses(values: readonly unknown[], what: string, warn: WarnOf): string[] {
  const addresses = new Set<string>();
  for (const value of values) {
    if (typeof value === 'string' && value.trim() === '') continue;
    const address = parseAddress(textOf(value));
    if (address === undefined) warn('bad-address', `${what}: ${quote(value)} is no IP address`);
    else addresses.add(address);
  }
  return [...addresses];
}

export interface ObjectIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Fields;
  readonly annotations: Fields;
  readonly warn: WarnOf;
}

/** Whose object this is; undefined, with a warning, where its name or namespace are unfit. */
export function decodeIdentity(
  object: unknown,
  kind: string,
  isName: (text: string) => boolean,
  warn: Warn,
): ObjectIdentity | undefined {
  const metadata = fieldsOf(fieldsOf(object).metadata);
  const namespace = textOf(metadata.namespace);
  const name = textOf(metadata.name);
  const path = kind === 'Node' ? quote(name) : `${quote(namespace)}/${quote(name)}`;
  const isFit = isName(name) && (kind === 'Node' || isLabel(namespace));
  const described = `${kind} ${isFit ? path.replaceAll('"', '') : path}`;
  const warnOf: WarnOf = (warningKind, message) => warn({ object: described, kind: warningKind, message });
  if (!isFit) {
    warnOf('bad-name', 'without a usable name and namespace: ignored');
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
/** More than a cluster has nodes: what is met beyond has replaced what was. */
const mostShared = 20_000;

/** One string for the same text: for the few (node names, zones) that many endpoints repeat. */
export function share(text: string): string {
  const shared = sharedTexts.get(text);
  if (shared !== undefined) return shared;
  if (sharedTexts.size >= mostShared) sharedTexts.clear();
  sharedTexts.set(text, text);
  return text;
}

/** One list for the same texts, as share. */
export function shareList(texts: readonly string[]): readonly string[] {
  if (texts.length === 0) return noTexts;
  const key = JSON.stringify(texts);
  const shared = sharedLists.get(key);
  if (shared !== undefined) return shared;
  if (sharedLists.size >= mostShared) sharedLists.clear();
  sharedLists.set(key, texts);
  return texts;
}
