/**
 * Reads all YAML: manifests, kubeconfigs and KubeProxyConfigurations. The results are those of sigs.k8s.io/yaml, with which kubectl and
 * kube-proxy read them. Only the syntax is left to the yaml package.
 */
import { Composer, type CST, type Document, LineCounter, Parser } from 'yaml';
import { readJsonValues } from './json-values';
import { BadNode, deepest, fieldOffsets, ValueReader } from './yaml-values';

/** A line and a column, both counted from 1. */
export interface YamlPlace {
  readonly line: number;
  readonly column: number;
}

export interface YamlDocument extends YamlPlace {
  /** A JSON value. */
  readonly value: unknown;
  /** The paths of keys that a mapping has more than once. The last one counts. Empty for JSON. */
  readonly doubled: readonly (YamlPlace & { readonly path: string })[];
  /** Returns the lines of a field's key and value, or undefined in JSON and for fields that were merged in. */
  linesOf(path: readonly string[]): { readonly key: number; readonly value: number } | undefined;
}

export interface YamlMistake extends YamlPlace {
  /** `syntax`: the document cannot be read. `left out`: only a part of it cannot be read. */
  readonly kind: 'syntax' | 'left out';
  readonly message: string;
}

export interface YamlText {
  /** Without empty documents. */
  readonly documents: readonly YamlDocument[];
  readonly mistakes: readonly YamlMistake[];
}

export interface YamlOptions {
  /** Also read JSON as YAML, which is slower but finds lines and doubled keys. */
  readonly tellLines?: boolean;
}

/** Never throws. */
export function parseKubernetesYaml(text: string, { tellLines = false }: YamlOptions = {}): YamlText {
  const bare = text.startsWith('\uFEFF') ? text.slice(1) : text;
  return (tellLines ? undefined : parseJson(bare)) ?? parseYaml(bare);
}

const tooDeep = `nested more than ${deepest} deep: not read`;

/** Reads JSON, about 25 times as fast as parseYaml: dumps of clusters are large. Returns undefined if the text is not JSON. */
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
 * Composes the documents into nodes, with every scalar as its text. The package composes nodes recursively, and a document that is nested
 * deeply enough ends the process there (V8 cannot even throw). Its token parser is not recursive, so the depth is checked in between.
 */
function* composeDocuments(
  text: string,
  lines: LineCounter,
  onTooDeep: (offset: number) => void,
): Generator<Document.Parsed> {
  const composer = new Composer({ version: '1.1', schema: 'failsafe', merge: false, uniqueKeys: false });
  for (const token of new Parser(lines.addNewLine).parse(text)) {
    if (token.type === 'document' && depthOf(token) > deepest) onTooDeep(token.value?.offset ?? token.offset);
    else yield* composer.next(token);
  }
  yield* composer.end();
}

function childrenOf(token: CST.Token): readonly (CST.Token | null | undefined)[] {
  switch (token.type) {
    case 'document':
      return [token.value];
    case 'block-map':
    case 'block-seq':
    case 'flow-collection':
      return itemsOf(token).flatMap(({ key, value }) => [key, value]);
    default:
      return [];
  }
}

/** Without this type the items of the three kinds are a union of arrays, which has no flatMap. */
function itemsOf(token: CST.BlockMap | CST.BlockSequence | CST.FlowCollection): readonly CST.CollectionItem[] {
  return token.items;
}

/** Returns how deep lists and mappings are nested. */
function depthOf(document: CST.Token): number {
  let level = [document];
  let depth = -1;
  while (level.length > 0) {
    level = level.flatMap((token) => childrenOf(token).filter((child) => child !== null && child !== undefined));
    depth++;
  }
  // The last level consists of scalars.
  return depth - 1;
}
