/** KubeProxyConfiguration v1alpha1, YAML or JSON, to settings. */
import { isAlias, isMap, isScalar, LineCounter, parseAllDocuments } from 'yaml';
import type { Document, Node, YAMLMap } from 'yaml';
import { UserError } from '../model/user-error';
import { fieldAt, fieldPaths, fields, isZero } from './fields';
import type { FieldPath, Settings } from './fields';
import type { Finding } from './finding';
import { suggest } from '../model/nearest-name';
import { isRecord } from './value-kinds';

export interface DecodedConfiguration {
  /** What the file sets: a zero that stands for the default is left out. */
  readonly settings: Settings;
  /** Where it says so, from 1. */
  readonly lines: Readonly<Partial<Record<FieldPath, number>>>;
  readonly warnings: readonly Finding[];
  /** Values of the wrong type. */
  readonly problems: readonly Finding[];
}

export const apiVersion = 'kubeproxy.config.k8s.io/v1alpha1';
export const kind = 'KubeProxyConfiguration';

/**
 * Unknown fields and fields given twice (the last counts) are warnings. Throws UserError, with file and line, for a
 * syntax error or another kind of document.
 */
export function decodeConfiguration(text: string, fileName: string): DecodedConfiguration {
  const lines = new LineCounter();
  // YAML 1.1 and last-one-wins, as the Go library behind kube-proxy reads it.
  const documents = parseAllDocuments(text, {
    version: '1.1',
    uniqueKeys: false,
    prettyErrors: false,
    lineCounter: lines,
  });
  const [document, ...others] = [...documents].filter((each) => each.contents !== null || each.errors.length > 0);
  if (document === undefined) throw new UserError(`${fileName}: the file is empty`);
  const [error] = document.errors;
  if (error !== undefined) throw new UserError(`${fileName}:${lines.linePos(error.pos[0]).line}: ${error.message}`);
  const decoder = new Decoder(document, fileName, lines);
  if (others.length > 0) decoder.warn(null, '', `only the first of ${others.length + 1} documents counts`);
  return decoder.decode();
}

class Decoder {
  private readonly warnings: Finding[] = [];
  private readonly problems: Finding[] = [];
  private settings: Partial<Record<FieldPath, unknown>> = {};
  private readonly linesOf: Partial<Record<FieldPath, number>> = {};

  constructor(
    private readonly document: Document,
    private readonly file: string,
    private readonly lines: LineCounter,
  ) {}

  decode(): DecodedConfiguration {
    const root = this.document.contents;
    if (!isMap(root)) throw this.refusal(root, `the document is not a ${kind}`);
    const found: unknown = [root.get('apiVersion'), root.get('kind')];
    if (JSON.stringify(found) !== JSON.stringify([apiVersion, kind])) {
      const what = [root.get('apiVersion'), root.get('kind')].map((part) => show(part ?? 'none')).join(' ');
      throw this.refusal(root, `want apiVersion ${apiVersion}, kind ${kind}; found ${what}`);
    }
    this.walk(root, '');
    const { settings, linesOf, warnings, problems } = this;
    return { settings: settings as Settings, lines: linesOf, warnings, problems };
  }

  warn(node: unknown, name: string, what: string): void {
    this.warnings.push({ file: this.file, line: this.lineOf(node), name, what });
  }

  private walk(map: YAMLMap, prefix: string): void {
    const seen = new Set<string>();
    for (const { key, value } of map.items) {
      const name = isScalar(key) ? String(key.value) : String(key);
      const path = `${prefix}${name}`;
      if (seen.has(name)) {
        this.warn(key, path, 'is given twice: the last one counts');
        this.forget(path);
      }
      seen.add(name);
      if (path !== 'apiVersion' && path !== 'kind') this.field(path, key, value as Node | null);
    }
  }

  /** Of a doubled field the last counts, also where it is null; of a doubled block, the last as a whole. */
  private forget(path: string): void {
    const kept = Object.entries(this.settings).filter(([each]) => each !== path && !each.startsWith(`${path}.`));
    this.settings = Object.fromEntries(kept);
  }

  private field(path: string, key: unknown, valueNode: Node | null): void {
    const node = isAlias(valueNode) ? valueNode.resolve(this.document) : valueNode;
    const value: unknown = node === undefined || node === null ? null : node.toJS(this.document);
    if (Object.hasOwn(fields, path)) this.set(path as FieldPath, value, key, valueNode);
    else if (!blocks.has(path)) this.warn(key, path, `there is no such field, so it is ignored${suggestField(path)}`);
    else if (isMap(node)) this.walk(node, `${path}.`);
    else if (value !== null) this.problem(valueNode, path, `want fields, found ${show(value)}`);
  }

  private set(path: FieldPath, value: unknown, key: unknown, node: Node | null): void {
    const field = fieldAt(path);
    const line = this.lineOf(key);
    if (line !== undefined) this.linesOf[path] = line;
    if (value === null || value === undefined) return;
    const decoded = field.kind.decode(value);
    if (decoded === undefined) this.problem(node, path, `want ${field.kind.expects}, found ${show(value)}`);
    else if (field.zeroCounts || !isZero(decoded)) this.settings[path] = decoded;
  }

  private lineOf(node: unknown): number | undefined {
    const offset = (node as Node | null)?.range?.[0];
    return offset === undefined ? undefined : this.lines.linePos(offset).line;
  }

  private problem(node: unknown, name: string, what: string): void {
    this.problems.push({ file: this.file, line: this.lineOf(node), name, what });
  }

  private refusal(node: unknown, what: string): UserError {
    return new UserError(`${this.file}:${this.lineOf(node) ?? 1}: ${what}`);
  }
}

/** `iptables`, `logging.options.text`: what has fields below it. */
const blocks = new Set(
  fieldPaths.flatMap((path) => [...path.matchAll(/\./g)].map(({ index }) => path.slice(0, index))),
);

/** The fields and blocks beside it, or else the same name in another block. */
function suggestField(path: string): string {
  const prefix = path.slice(0, path.lastIndexOf('.') + 1);
  const name = path.slice(prefix.length);
  const all = [...fieldPaths, ...blocks];
  const beside = all.filter((each) => each.startsWith(prefix) && !each.slice(prefix.length).includes('.'));
  const near = suggest(path, beside);
  if (near !== '') return near;
  const elsewhere = all.filter((each) => each.slice(each.lastIndexOf('.') + 1).toLowerCase() === name.toLowerCase());
  return elsewhere.length === 0 ? '' : `: did you mean ${elsewhere.join(' or ')}?`;
}

function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  return isRecord(value) ? 'fields' : JSON.stringify(value);
}
