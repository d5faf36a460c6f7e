import type { ClusterChange, ClusterWarning } from '../../model/cluster';
import { parseKubernetesYaml } from '../../yaml/parse-kubernetes-yaml';
import { decodeEndpointSlice } from '../kubernetes/decode-endpoint-slice';
import { decodeEndpoints } from '../kubernetes/decode-endpoints';
import type { Fields, Warn } from '../kubernetes/decode-fields';
import { fieldsOf, isSubdomain, listOf, quote, textOf } from '../kubernetes/decode-fields';
import { decodeNode } from '../kubernetes/decode-node';
import { decodeService } from '../kubernetes/decode-service';
import { wrongTypes } from './field-types';
import { findObjects, type FoundObjects } from './find-objects';

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

/** The objects of a YAML or JSON text. Never throws. `fileName` is for messages alone. */
export function parseManifests(text: string, fileName: string): Manifest {
  const { documents, mistakes } = parseKubernetesYaml(text);
  const told = mistakes.map(({ kind, line, column, message }) => ({ kind, where: `${line}:${column}: ${message}` }));
  const errors = told.filter(({ kind }) => kind === 'syntax').map(({ where }) => `${fileName}:${where}`);
  if (errors.length > 0) return { objects: [], warnings: [], errors };
  const leftOut = told.map(({ where }): ClusterWarning => ({ object: fileName, kind: 'left-out', message: where }));
  const warnings: ClusterWarning[] = [];
  const warn: Warn = (warning) => warnings.push({ ...warning, message: `${warning.message} (${fileName})` });
  const found = findObjects(documents);
  const objects = found.objects.flatMap((object) => {
    for (const message of wrongTypes(textOf(object.kind), object))
      warn({ object: describe(object), kind: 'bad-type', message });
    return decodeObject(withDefaults(object), warn) ?? [];
  });
  const isSaid = leftOut.length > 0 && documents.length === 0;
  const notes = [...(isSaid ? [] : whatIsNotRead(text, found)), ...withoutClusterIP(objects)];
  const unserved = notes.map((message): ClusterWarning => ({ object: fileName, kind: 'nothing-read', message }));
  return { objects, warnings: [...leftOut, ...warnings, ...unserved], errors: [] };
}

/** `Service shop/web`, as far as it says so. */
function describe({ kind, metadata }: Fields): string {
  const { namespace, name } = fieldsOf(metadata);
  const words = kind === 'Node' ? [name] : [namespace ?? 'default', name];
  return `${textOf(kind)} ${words.map((word) => (isSubdomain(textOf(word)) ? textOf(word) : quote(word))).join('/')}`;
}

/** Other kinds do not matter, unless there is nothing else. */
function whatIsNotRead(text: string, { objects, others, odd }: FoundObjects): string[] {
  if (objects.length > 0) return odd.map((what) => `${what}: left out`);
  if (text.trim() === '') return ['nothing is read from it: it is empty'];
  const kinds = [...others].map(([kind, count]) => `${count} of kind ${kind}`).join(', ');
  const rest = kinds === '' ? [] : [`${kinds}, where Services, EndpointSlices, Endpoints and Nodes are read`];
  const reasons = [...odd, ...rest];
  return [
    `nothing is read from it: ${reasons.length === 0 ? 'it has no objects, only comments or markers' : reasons.join('; ')}`,
  ];
}

/** Most of them that are named at once. */
const mostNamed = 3;

/** A Service that was not applied yet has no cluster IP: the cluster gives it one. */
function withoutClusterIP(objects: readonly ManifestObject[]): string[] {
  const names = objects.flatMap(({ id, sets: [change] }) => {
    const isWithout =
      change?.op === 'set' && change.object.kind === 'Service' && change.object.notProxied === 'no cluster IP';
    return isWithout ? [id.slice('Service '.length)] : [];
  });
  if (names.length === 0) return [];
  const have = names.length === 1 ? '1 Service has' : `${names.length} Services have`;
  const which = `${names.slice(0, mostNamed).join(', ')}${names.length > mostNamed ? ', ...' : ''}`;
  return [`${have} no cluster IP: what \`kubectl get\` prints has one (${which})`];
}
