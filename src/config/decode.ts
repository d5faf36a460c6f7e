/** KubeProxyConfiguration v1alpha1, YAML or JSON, to settings. */
import { isAlias, isMap, isScalar, LineCounter, parseAllDocuments } from 'yaml';
import type { Document, Node, YAMLMap } from 'yaml';
import { UserError } from '../model/user-error';
import { fieldAt, fieldPaths, fields, isZero } from './fields';
import type { FieldPath, Settings } from './fields';
import { isRecord } from './value-kinds';

export interface DecodedConfiguration {
  /** What the file sets: a zero that stands for the default is left out. */
  readonly settings: Settings;
  readonly warnings: readonly string[];
}

const apiVersion = 'kubeproxy.config.k8s.io/v1alpha1';
const kind = 'KubeProxyConfiguration';

/**
 * Unknown fields and fields given twice (the last counts) are warnings. Throws UserError, with file and line, for a
 * syntax error, another kind of document, or a value of the wrong type.
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
  if (others.length > 0) decoder.warnings.push(`${fileName}: only the first of ${others.length + 1} documents counts`);
  return decoder.decode();
}

class Decoder {
  readonly warnings: string[] = [];
  private readonly settings: Partial<Record<FieldPath, unknown>> = {};

  constructor(
    private readonly document: Document,
    private readonly fileName: string,
    private readonly lines: LineCounter,
  ) {}

  decode(): DecodedConfiguration {
    const root = this.document.contents;
    if (!isMap(root)) throw this.error(root, `the document is not a ${kind}`);
    const found: unknown = [root.get('apiVersion'), root.get('kind')];
    if (JSON.stringify(found) !== JSON.stringify([apiVersion, kind])) {
      const what = [root.get('apiVersion'), root.get('kind')].map((part) => show(part ?? 'none')).join(' ');
      throw this.error(root, `want apiVersion ${apiVersion}, kind ${kind}; found ${what}`);
    }
    this.walk(root, '');
    return { settings: this.settings as Settings, warnings: this.warnings };
  }

  private walk(map: YAMLMap, prefix: string): void {
    const seen = new Set<string>();
    for (const { key, value } of map.items) {
      const name = isScalar(key) ? String(key.value) : String(key);
      const path = `${prefix}${name}`;
      if (seen.has(name)) this.warn(key, `${path} is given twice: the last one counts`);
      seen.add(name);
      if (path !== 'apiVersion' && path !== 'kind') this.field(path, key, value as Node | null);
    }
  }

  private field(path: string, key: unknown, valueNode: Node | null): void {
    const node = isAlias(valueNode) ? valueNode.resolve(this.document) : valueNode;
    const value: unknown = node === undefined || node === null ? null : node.toJS(this.document);
    if (Object.hasOwn(fields, path)) this.set(path as FieldPath, value, valueNode);
    else if (!fieldPaths.some((known) => known.startsWith(`${path}.`)))
      this.warn(key, `unknown field ${path} is ignored`);
    else if (isMap(node)) this.walk(node, `${path}.`);
    else if (value !== null) throw this.error(valueNode, `${path}: want fields, found ${show(value)}`);
  }

  private set(path: FieldPath, value: unknown, node: Node | null): void {
    const field = fieldAt(path);
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- the last of a doubled field counts, also where it is null
    delete this.settings[path];
    if (value === null || value === undefined) return;
    const decoded = field.kind.decode(value);
    if (decoded === undefined) throw this.error(node, `${path}: want ${field.kind.expects}, found ${show(value)}`);
    if (field.zeroCounts || !isZero(decoded)) this.settings[path] = decoded;
  }

  private place(node: unknown): string {
    const offset = (node as Node | null)?.range?.[0];
    return offset === undefined ? this.fileName : `${this.fileName}:${this.lines.linePos(offset).line}`;
  }

  private warn(node: unknown, what: string): void {
    this.warnings.push(`${this.place(node)}: ${what}`);
  }

  private error(node: unknown, what: string): UserError {
    return new UserError(`${this.place(node)}: ${what}`);
  }
}

function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  return isRecord(value) ? 'fields' : JSON.stringify(value);
}
