/** KubeProxyConfiguration v1alpha1, YAML or JSON, to settings. */
import { UserError } from '../model/user-error';
import { fieldAt, fieldPaths, fields, isZero } from './fields';
import type { FieldPath, Settings } from './fields';
import type { Finding } from './finding';
import { suggest } from '../model/nearest-name';
import { isRecord } from './value-kinds';
import { parseKubernetesYaml, type YamlDocument } from '../yaml/parse-kubernetes-yaml';

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
 * Unknown fields and fields given twice (the last counts) are warnings, as kube-proxy has it, which decodes strictly first and then
 * leniently. Throws UserError, with file and line, for a syntax error or another kind of document.
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
  private readonly warnings: Finding[] = [];
  private readonly problems: Finding[] = [];
  private readonly settings: Partial<Record<FieldPath, unknown>> = {};
  private readonly linesOf: Partial<Record<FieldPath, number>> = {};

  constructor(
    private readonly document: YamlDocument,
    private readonly file: string,
  ) {}

  decode(): DecodedConfiguration {
    const root = this.document.value;
    if (!isRecord(root)) throw this.refusal(`the document is not a ${kind}`);
    const found = [root.apiVersion, root.kind];
    if (JSON.stringify(found) !== JSON.stringify([apiVersion, kind])) {
      const what = found.map((part) => show(part ?? 'none')).join(' ');
      throw this.refusal(`want apiVersion ${apiVersion}, kind ${kind}; found ${what}`);
    }
    for (const { path, line } of this.document.doubled) this.warn(line, path, 'is given twice: the last one counts');
    this.walk(root, []);
    const { settings, linesOf, warnings, problems } = this;
    return { settings: settings as Settings, lines: linesOf, warnings, problems };
  }

  warn(line: number | undefined, name: string, what: string): void {
    this.warnings.push({ file: this.file, line, name, what });
  }

  private walk(fields: Readonly<Record<string, unknown>>, prefix: readonly string[]): void {
    for (const [name, value] of Object.entries(fields)) {
      const path = [...prefix, name];
      if (prefix.length > 0 || (name !== 'apiVersion' && name !== 'kind')) this.field(path, value);
    }
  }

  private field(names: readonly string[], value: unknown): void {
    const path = names.join('.');
    const lines = this.document.linesOf(names);
    if (Object.hasOwn(fields, path)) this.set(path as FieldPath, value, lines);
    else if (!blocks.has(path))
      this.warn(lines?.key, path, `there is no such field, so it is ignored${suggestField(path)}`);
    else if (isRecord(value)) this.walk(value, names);
    else if (value !== null) this.problem(lines?.value, path, `want fields, found ${show(value)}`);
  }

  private set(path: FieldPath, value: unknown, lines: ReturnType<YamlDocument['linesOf']>): void {
    const field = fieldAt(path);
    if (lines !== undefined) this.linesOf[path] = lines.key;
    if (value === null) return;
    const decoded = field.kind.decode(value);
    if (decoded === undefined) this.problem(lines?.value, path, `want ${field.kind.expects}, found ${show(value)}`);
    else if (field.zeroCounts || !isZero(decoded)) this.settings[path] = decoded;
  }

  private problem(line: number | undefined, name: string, what: string): void {
    this.problems.push({ file: this.file, line, name, what });
  }

  private refusal(what: string): UserError {
    return new UserError(`${this.file}:${this.document.line}: ${what}`);
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
