/** Turns the nodes of one YAML document into the JSON value that sigs.k8s.io/yaml makes of them. */
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  type Scalar,
  type YAMLMap,
} from 'yaml';
import { keyText, resolvePlain, resolveTagged, type ScalarValue } from './yaml-scalar';

/** The greatest depth that is read: deeper than any object of Kubernetes, but not deep enough to exhaust the stack. */
export const deepest = 300;

/** A mistake at a node, because of which the document cannot be read. */
export class BadNode extends Error {
  constructor(
    readonly offset: number,
    message: string,
  ) {
    super(message);
  }
}

interface Place {
  readonly path: string;
  readonly offset: number;
}

/** A value, with the size and depth that it would have if every alias were written out. */
interface Read {
  readonly value: unknown;
  readonly size: number;
  readonly depth: number;
}

interface Anchor {
  readonly node: Node;
  /** Absent while the node is being read. */
  read?: Read;
}

/** go-yaml's limits: nearly all values may come from aliases if there are few, and one in ten if there are millions. */
const [smallSize, largeSize] = [400_000, 4_000_000];

function allowedShare(size: number): number {
  if (size <= smallSize) return 0.99;
  return size >= largeSize ? 0.1 : 0.99 - (0.89 * (size - smallSize)) / (largeSize - smallSize);
}

export class ValueReader {
  /** The keys that a mapping has more than once. The last one counts. */
  readonly doubled: Place[] = [];
  /** The values that were replaced by null, and why. */
  readonly leftOut: (Place & { readonly why: string })[] = [];
  /** By name. An anchor is valid until the next one with its name. The package's own lookup walks the whole document each time. */
  readonly #anchors = new Map<string, Anchor>();
  #size = 0;
  #aliased = 0;
  readonly #document: Document;

  constructor(document: Document) {
    this.#document = document;
  }

  /** Throws BadNode. The document must not be nested deeper than `deepest`. */
  read(): unknown {
    return this.#node(this.#document.contents, '').value;
  }

  #node(node: unknown, path: string): Read {
    this.#size++;
    if (isAlias(node)) return this.#alias(node, path);
    if (!isScalar(node) && !isMap(node) && !isSeq(node)) return { value: null, size: 1, depth: 0 };
    const anchor: Anchor = { node };
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, anchor);
    const read = isScalar(node)
      ? this.#scalar(node)
      : isMap(node)
        ? this.#map(node, path)
        : this.#list(node.items, path);
    anchor.read = read;
    return read;
  }

  #anchorOf(alias: Alias): Anchor {
    const anchor = this.#anchors.get(alias.source);
    if (anchor === undefined) throw new BadNode(offsetOf(alias), `there is no anchor ${alias.source}`);
    return anchor;
  }

  #alias(node: Alias, path: string): Read {
    const { read } = this.#anchorOf(node);
    if (read === undefined) return this.#leaveOut(node, path, `anchor ${node.source} contains itself`);
    this.#size += read.size;
    this.#aliased += read.size;
    if (this.#aliased > 100 && this.#size > 1000 && this.#aliased / this.#size > allowedShare(this.#size))
      throw new BadNode(0, 'its aliases are far larger than the document itself');
    return read;
  }

  #leaveOut(node: unknown, path: string, why: string): Read {
    this.leftOut.push({ path, offset: offsetOf(node), why });
    return { value: null, size: 1, depth: 0 };
  }

  #scalar(node: Scalar): Read {
    const value = scalarOf(node);
    if (typeof value === 'number' && !Number.isFinite(value))
      throw new BadNode(offsetOf(node), `${String(node.value)} is not a value in JSON`);
    return { value, size: 1, depth: 0 };
  }

  #list(items: readonly unknown[], path: string): Read {
    let [size, depth] = [1, 0];
    const value = items.map((item, i) => {
      const read = this.#deepEnough(item, `${path}[${i}]`);
      size += read.size;
      depth = Math.max(depth, read.depth);
      return read.value;
    });
    return { value, size, depth: depth + 1 };
  }

  /** Leaves out a value that aliases make deeper than the text itself can be. */
  #deepEnough(node: unknown, path: string): Read {
    const read = this.#node(node, path);
    return read.depth < deepest ? read : this.#leaveOut(node, path, `nested more than ${deepest} deep`);
  }

  #map(map: YAMLMap, path: string): Read {
    const entries = new Map<string, Read>();
    const own = new Set<string>();
    for (const { key, value } of map.items) {
      if (isMerge(key)) {
        for (const [name, read] of this.#merged(value, path)) entries.set(name, read);
        continue;
      }
      const name = this.#key(key);
      const where = path === '' ? name : `${path}.${name}`;
      if (own.has(name)) this.doubled.push({ path: where, offset: offsetOf(key) });
      own.add(name);
      entries.set(name, this.#deepEnough(value, where));
    }
    let [size, depth] = [1, 0];
    for (const read of entries.values()) {
      size += read.size + 1;
      depth = Math.max(depth, read.depth);
    }
    // fromEntries always makes own properties, even of a key __proto__.
    const value = Object.fromEntries([...entries].map(([name, read]) => [name, read.value]));
    return { value, size, depth: depth + 1 };
  }

  #key(key: unknown): string {
    const node = isAlias(key) ? this.#anchorOf(key).node : key;
    const text = isScalar(node) ? keyText(scalarOf(node)) : undefined;
    if (text === undefined) throw new BadNode(offsetOf(key), 'a key must be text, a number or a boolean');
    return text;
  }

  /** Like go-yaml v2: the later entry of the mapping counts, merged or not. Of several mappings in one merge the first counts. */
  #merged(value: unknown, path: string): [string, Read][] {
    const target = isAlias(value) ? this.#anchorOf(value).node : value;
    if (isSeq(target) && !isAlias(value))
      return [...target.items].reverse().flatMap((item) => this.#merged(item, path));
    if (!isMap(target)) throw new BadNode(offsetOf(value), 'only a mapping or a list of mappings can be merged');
    const read = this.#node(value, path);
    const share = { size: read.size, depth: Math.max(read.depth - 1, 0) };
    const entries: [string, unknown][] = Object.entries(read.value ?? {});
    return entries.map(([name, each]) => [name, { value: each, ...share }]);
  }
}

function isMerge(key: unknown): boolean {
  return isScalar(key) && key.value === '<<' && (key.type === 'PLAIN' || key.tag === 'tag:yaml.org,2002:merge');
}

function offsetOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0;
}

/** Throws BadNode. */
function scalarOf(node: Scalar): ScalarValue {
  const text = typeof node.value === 'string' ? node.value : '';
  if (node.tag === undefined || node.tag === '!') return node.type === 'PLAIN' ? resolvePlain(text) : text;
  const value = resolveTagged(node.tag, text);
  if (typeof value === 'object' && value !== null) throw new BadNode(offsetOf(node), value.mistake);
  return value;
}

/** Returns where a field's key and value are, the last ones if it is doubled. Returns undefined if it was merged in or is missing. */
export function fieldOffsets(document: Document, path: readonly string[]): { key: number; value: number } | undefined {
  let node: unknown = document.contents;
  let offsets: { key: number; value: number } | undefined;
  for (const name of path) {
    const map = isAlias(node) ? node.resolve(document) : node;
    if (!isMap(map)) return undefined;
    const pair = map.items.findLast(({ key }) => isScalar(key) && !isMerge(key) && keyText(scalarOf(key)) === name);
    if (pair === undefined) return undefined;
    offsets = { key: offsetOf(pair.key), value: offsetOf(pair.value ?? pair.key) };
    node = pair.value;
  }
  return offsets;
}
