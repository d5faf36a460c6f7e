/** Reads the settings from a KubeProxyConfiguration v1alpha1 in YAML or JSON. */
import { suggest } from '../model/nearest-name';
import { UserError } from '../model/user-error';
import { parseKubernetesYaml, type YamlDocument } from '../yaml/parse-kubernetes-yaml';
import {
  type Field,
  type FieldPath,
  fieldPaths,
  fields,
  type FieldValues,
  isFieldPath,
  isZero,
  type Settings,
} from './fields';
import type { Finding } from './finding';
import { isRecord } from './value-kinds';

export interface DecodedConfiguration {
  /** What the file sets. A zero that means the default is left out. */
  readonly settings: Settings;
  /** The line of each field, from 1. */
  readonly lines: Readonly<Partial<Record<FieldPath, number>>>;
  readonly warnings: readonly Finding[];
  /** Values of a wrong type. */
  readonly problems: readonly Finding[];
}

export const apiVersion = 'kubeproxy.config.k8s.io/v1alpha1';
export const kind = 'KubeProxyConfiguration';

/**
 * Unknown fields and fields that are given twice (the last one counts) are warnings, as in kube-proxy, which decodes strictly first
 * and then leniently. Throws UserError, with file and line, for a syntax error or another kind of document.
 */
export function decodeConfiguration(text: string, fileName: string): DecodedConfiguration {
  const { documents, mistakes } = parseKubernetesYaml(text, { tellLines: true });
  const [mistake] = mistakes;
  if (mistake !== undefined) throw new UserError(`${fileName}:${mistake.line}: ${mistake.message}`);
  const [document] = documents;
  if (document === undefined) throw new UserError(`${fileName}: the file is empty`);
  const decoder = new Decoder(document, fileName);
  if (documents.length > 1) decoder.warn(undefined, '', `only the first of ${documents.length} documents counts`);
  return decoder.decode();
}

class Decoder {
  readonly #warnings: Finding[] = [];
  readonly #problems: Finding[] = [];
  readonly #settings: { -readonly [P in FieldPath]?: FieldValues[P] } = {};
  readonly #linesOf: Partial<Record<FieldPath, number>> = {};
  readonly #document: YamlDocument;
  readonly #file: string;

  constructor(document: YamlDocument, file: string) {
    this.#document = document;
    this.#file = file;
  }

  decode(): DecodedConfiguration {
    const root = this.#document.value;
    if (!isRecord(root)) throw this.#refusal(`the document is not a ${kind} object`);
    const found = [root.apiVersion, root.kind];
    if (JSON.stringify(found) !== JSON.stringify([apiVersion, kind])) {
      const what = found.map((part) => show(part ?? 'none')).join(' ');
      throw this.#refusal(`want apiVersion ${apiVersion}, kind ${kind}; found ${what}`);
    }
    for (const { path, line } of this.#document.doubled) this.warn(line, path, 'is given twice: the last one counts');
    this.#walk(root, []);
    return {
      settings: this.#settings,
      lines: this.#linesOf,
      warnings: this.#warnings,
      problems: this.#problems,
    };
  }

  warn(line: number | undefined, name: string, what: string): void {
    this.#warnings.push({ file: this.#file, line, name, what });
  }

  #walk(fields: Readonly<Record<string, unknown>>, prefix: readonly string[]): void {
    for (const [name, value] of Object.entries(fields)) {
      const path = [...prefix, name];
      if (prefix.length > 0 || (name !== 'apiVersion' && name !== 'kind')) this.#field(path, value);
    }
  }

  #field(names: readonly string[], value: unknown): void {
    const path = names.join('.');
    const lines = this.#document.linesOf(names);
    if (isFieldPath(path)) this.#set(path, fields[path], value, lines);
    else if (!blocks.has(path))
      this.warn(lines?.key, path, `there is no such field, so it is ignored${suggestField(path)}`);
    else if (isRecord(value)) this.#walk(value, names);
    else if (value !== null) this.#problem(lines?.value, path, `want fields, found ${show(value)}`);
  }

  #set<P extends FieldPath>(
    path: P,
    field: Field<FieldValues[P]>,
    value: unknown,
    lines: ReturnType<YamlDocument['linesOf']>,
  ): void {
    if (lines !== undefined) this.#linesOf[path] = lines.key;
    if (value === null) return;
    const decoded = field.kind.decode(value);
    if (decoded === undefined) this.#problem(lines?.value, path, `want ${field.kind.expects}, found ${show(value)}`);
    else if (field.zeroCounts || !isZero(decoded)) this.#settings[path] = decoded;
  }

  #problem(line: number | undefined, name: string, what: string): void {
    this.#problems.push({ file: this.#file, line, name, what });
  }

  #refusal(what: string): UserError {
    return new UserError(`${this.#file}:${this.#document.line}: ${what}`);
  }
}

/** The paths that have fields below them, such as `iptables` and `logging.options.text`. */
const blocks = new Set(
  fieldPaths.flatMap((path) => [...path.matchAll(/\./g)].map(({ index }) => path.slice(0, index))),
);

/** Suggests a similar field or block next to it, or else the same name in another block. */
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
