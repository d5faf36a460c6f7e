/**
 * The one reader of YAML: manifests, kubeconfigs and KubeProxyConfigurations. It has the results of sigs.k8s.io/yaml, by which kubectl
 * and kube-proxy read them; syntax alone is the yaml package's.
 */
import { Composer, type CST, type Document, LineCounter, Parser } from 'yaml';
import { readJsonValues } from './json-values';
import { BadNode, deepest, fieldOffsets, ValueReader } from './yaml-values';

export interface YamlPlace {
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

export interface YamlDocument extends YamlPlace {
  /** JSON. */
  readonly value: unknown;
  /** Paths of keys that a mapping has more than once: the last counts. Not told of JSON. */
  readonly doubled: readonly (YamlPlace & { readonly path: string })[];
  /** Of a field's key and of its value, by the names that lead there; not told of JSON, nor of what was merged in. */
  linesOf(path: readonly string[]): { readonly key: number; readonly value: number } | undefined;
}

export interface YamlMistake extends YamlPlace {
  /** `syntax`: its document cannot be read. `left out`: the rest can. */
  readonly kind: 'syntax' | 'left out';
  readonly message: string;
}

export interface YamlText {
  /** Empty ones are left out. */
  readonly documents: readonly YamlDocument[];
  readonly mistakes: readonly YamlMistake[];
}

export interface YamlOptions {
  /** Read JSON as YAML too, which is slower, and tells lines and doubled keys. */
  readonly tellLines?: boolean;
}

/** Never throws. */
export function parseKubernetesYaml(text: string, { tellLines = false }: YamlOptions = {}): YamlText {
  const bare = text.startsWith('\uFEFF') ? text.slice(1) : text;
  return (tellLines ? undefined : parseJson(bare)) ?? parseYaml(bare);
}

const tooDeep = `nested more than ${deepest} deep: not read`;

/** The short way for JSON, some 25 times as fast: dumps of clusters are large. */
function parseJson(text: string): YamlText | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  const values = readJsonValues(text);
  if (values === undefined) return undefined;
  const placed = values.map((each) => ({ ...each, line: text.slice(0, each.offset).split('\n').length, column: 1 }));
  return {
    documents: placed
      .filter(({ depth }) => depth <= deepest)
      .map(({ value, line, column }) => ({ value, line, column, doubled: [], linesOf: () => undefined })),
    mistakes: placed
      .filter(({ depth }) => depth > deepest)
      .map(({ line, column }) => ({ kind: 'left out', line, column, message: tooDeep })),
  };
}

function parseYaml(text: string): YamlText {
  const lines = new LineCounter();
  const documents: YamlDocument[] = [];
  const mistakes: YamlMistake[] = [];
  const placeOf = (offset: number): YamlPlace => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const take = (document: Document.Parsed): void => {
    if (document.errors.length > 0) {
      for (const { pos, message } of document.errors)
        mistakes.push({ kind: 'syntax', ...placeOf(pos[0]), message: message.split('\n', 1)[0] ?? '' });
      return;
    }
    if (document.contents !== null) readDocument(document, placeOf, documents, mistakes);
  };
  for (const document of composeDocuments(text, lines, (offset) =>
    mistakes.push({ kind: 'left out', ...placeOf(offset), message: tooDeep }),
  ))
    take(document);
  return { documents: documents.filter(({ value }) => value !== null), mistakes };
}

function readDocument(
  document: Document.Parsed,
  placeOf: (offset: number) => YamlPlace,
  documents: YamlDocument[],
  mistakes: YamlMistake[],
): void {
  const reader = new ValueReader(document);
  const start = document.contents?.range[0] ?? 0;
  try {
    const value = reader.read();
    for (const { offset, path, why } of reader.leftOut)
      mistakes.push({ kind: 'left out', ...placeOf(offset), message: `${path}: ${why}: left out` });
    documents.push({
      value,
      ...placeOf(start),
      doubled: reader.doubled.map(({ path, offset }) => ({ path, ...placeOf(offset) })),
      linesOf: (path) => {
        const offsets = fieldOffsets(document, path);
        return offsets && { key: placeOf(offsets.key).line, value: placeOf(offsets.value).line };
      },
    });
  } catch (error) {
    if (!(error instanceof BadNode)) throw error;
    mistakes.push({ kind: 'syntax', ...placeOf(error.offset === 0 ? start : error.offset), message: error.message });
  }
}

/**
 * Documents as nodes, with every scalar as its text. The package composes nodes by recursion, and a document that is nested deep enough
 * ends the process there (V8 cannot even throw); its parser of tokens does not recurse, so the depth is looked at in between.
 */
function* composeDocuments(
  text: string,
  lines: LineCounter,
  onTooDeep: (offset: number) => void,
): Generator<Document.Parsed> {
  const composer = new Composer({ version: '1.1', schema: 'failsafe', merge: false, uniqueKeys: false });
  for (const token of new Parser(lines.addNewLine).parse(text)) {
    if (token.type === 'document' && depthOf(token) > deepest) onTooDeep(token.value?.offset ?? token.offset);
    else yield* composer.next(token) as Generator<Document.Parsed>;
  }
  yield* composer.end() as Generator<Document.Parsed>;
}

function childrenOf(token: CST.Token): readonly (CST.Token | null | undefined)[] {
  switch (token.type) {
    case 'document':
      return [token.value];
    case 'block-map':
    case 'block-seq':
    case 'flow-collection':
      return (token.items as readonly CST.CollectionItem[]).flatMap(({ key, value }) => [key, value]);
    default:
      return [];
  }
}

/** Of lists and mappings within each other. */
function depthOf(document: CST.Token): number {
  let level = [document];
  let depth = -1;
  while (level.length > 0) {
    level = level.flatMap((token) => childrenOf(token).filter((child) => child !== null && child !== undefined));
    depth++;
  }
  // The last level is of scalars.
  return depth - 1;
}
