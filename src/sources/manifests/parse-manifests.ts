import { LineCounter, parseAllDocuments } from 'yaml';
import type { ClusterChange, ClusterWarning } from '../../model/cluster';
import { decodeEndpointSlice } from '../kubernetes/decode-endpoint-slice';
import { decodeEndpoints } from '../kubernetes/decode-endpoints';
import type { Fields, Warn } from '../kubernetes/decode-fields';
import { fieldsOf, listOf, textOf } from '../kubernetes/decode-fields';
import { decodeNode } from '../kubernetes/decode-node';
import { decodeService } from '../kubernetes/decode-service';

/** One object of a manifest, as changes to the cluster. */
export interface ManifestObject {
  /** `Service shop/cart`. */
  readonly id: string;
  readonly sets: readonly ClusterChange[];
  readonly deletion: ClusterChange;
}

export interface Manifest {
  /** In the order of the text; Services, EndpointSlices, Endpoints and Nodes: other kinds are none of ours. */
  readonly objects: readonly ManifestObject[];
  readonly warnings: readonly ClusterWarning[];
  /** `shop.yaml:3:7: what is wrong`. There are no objects then: half a file is no state of the cluster. */
  readonly errors: readonly string[];
}

const groups: ReadonlyMap<string, string> = new Map([
  ['Service', ''],
  ['Endpoints', ''],
  ['Node', ''],
  ['EndpointSlice', 'discovery.k8s.io'],
]);

/** Services are a kind of other groups too (Knative's). What says no group is taken by its kind. */
function isOurs(kind: string, apiVersion: string): boolean {
  const group = groups.get(kind);
  return (
    group !== undefined && (apiVersion === '' || apiVersion.slice(0, Math.max(apiVersion.indexOf('/'), 0)) === group)
  );
}

/**
 * Our kinds in a document; `List` and its like come apart. Items of a typed list may leave out what they are. An object is
 * looked at once: aliases may make a list an item of itself.
 */
function* objectsIn(value: unknown, seen = new Set<unknown>(), kind = '', apiVersion = ''): Generator<Fields> {
  if (seen.has(value)) return;
  seen.add(value);
  const fields = fieldsOf(value);
  const ownKind = textOf(fields.kind) || kind;
  const ownVersion = textOf(fields.apiVersion) || apiVersion;
  if (ownKind.endsWith('List') && Array.isArray(fields.items)) {
    const itemKind = ownKind.slice(0, -'List'.length);
    for (const item of fields.items) yield* objectsIn(item, seen, itemKind, itemKind === '' ? '' : ownVersion);
  } else if (isOurs(ownKind, ownVersion)) {
    yield { ...fields, kind: ownKind };
  }
}

/** What the API server fills in where a manifest leaves it out. */
function withDefaults(object: Fields): Fields {
  const metadata = fieldsOf(object.metadata);
  const namespaced = { ...object, metadata: { ...metadata, namespace: metadata.namespace ?? 'default' } };
  if (object.kind !== 'EndpointSlice') return namespaced;
  return {
    ...namespaced,
    ports: listOf(object.ports).map((port) => ({ ...fieldsOf(port), name: fieldsOf(port).name ?? '' })),
  };
}

function decodeObject(object: Fields, warn: Warn): ManifestObject | undefined {
  const { namespace, name } = fieldsOf(object.metadata) as { namespace: string; name: string };
  if (object.kind === 'Endpoints') {
    const slices = decodeEndpoints(object, warn);
    const deletion: ClusterChange = { op: 'delete', kind: 'EndpointSlice', source: 'Endpoints', namespace, name };
    // Subsets that are gone go with the object that they were of.
    const sets: ClusterChange[] | undefined = slices?.map((slice) => ({ op: 'set', object: slice }));
    return sets && { id: `Endpoints ${namespace}/${name}`, sets: [deletion, ...sets], deletion };
  }
  if (object.kind === 'EndpointSlice') {
    const slice = decodeEndpointSlice(object, warn);
    return (
      slice && {
        id: `EndpointSlice ${namespace}/${name}`,
        sets: [{ op: 'set', object: slice }],
        deletion: { op: 'delete', kind: 'EndpointSlice', source: 'EndpointSlice', namespace, name },
      }
    );
  }
  if (object.kind === 'Node') {
    const node = decodeNode(object, warn);
    const deletion: ClusterChange = { op: 'delete', kind: 'Node', namespace: '', name };
    return node && { id: `Node ${name}`, sets: [{ op: 'set', object: node }], deletion };
  }
  const service = decodeService(object, warn);
  const deletion: ClusterChange = { op: 'delete', kind: 'Service', namespace, name };
  return service && { id: `Service ${namespace}/${name}`, sets: [{ op: 'set', object: service }], deletion };
}

/** Documents as plain values. JSON goes the short way, some 25 times as fast: dumps of clusters are large. */
function parseDocuments(text: string, fileName: string): { values: unknown[]; errors: string[] } {
  if (/^\s*[{[]/.test(text)) {
    try {
      return { values: [JSON.parse(text)], errors: [] };
    } catch {
      // YAML in flow style, or JSON with a mistake, which the YAML parser tells better.
    }
  }
  const lines = new LineCounter();
  const errors: string[] = [];
  const values: unknown[] = [];
  for (const document of parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, merge: true })) {
    for (const error of document.errors) {
      const { line, col } = lines.linePos(error.pos[0]);
      errors.push(`${fileName}:${line}:${col}: ${error.message}`);
    }
    if (document.errors.length > 0) continue;
    try {
      values.push(document.toJS());
    } catch (error) {
      // Aliases that multiply without end.
      const { line, col } = lines.linePos(document.range[0]);
      errors.push(`${fileName}:${line}:${col}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { values, errors };
}

/** The objects of a YAML or JSON text. Never throws. `fileName` is for messages alone. */
export function parseManifests(text: string, fileName: string): Manifest {
  const { values, errors } = parseDocuments(text, fileName);
  if (errors.length > 0) return { objects: [], warnings: [], errors };
  const warnings: ClusterWarning[] = [];
  const warn: Warn = (warning) => warnings.push({ ...warning, message: `${warning.message} (${fileName})` });
  const objects = values.flatMap((value) =>
    [...objectsIn(value)].flatMap((object) => decodeObject(withDefaults(object), warn) ?? []),
  );
  return { objects, warnings, errors: [] };
}
