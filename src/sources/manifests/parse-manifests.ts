import type { ClusterChange, ClusterWarning } from '../../model/cluster';
import { parseKubernetesYaml } from '../../yaml/parse-kubernetes-yaml';
import { decodeEndpointSlice } from '../kubernetes/decode-endpoint-slice';
import { decodeEndpoints } from '../kubernetes/decode-endpoints';
import {
  type Fields,
  fieldsOf,
  isClusterWide,
  isSubdomain,
  listOf,
  quote,
  textOf,
  type Warn,
} from '../kubernetes/decode-fields';
import { decodeNode } from '../kubernetes/decode-node';
import { decodeServiceCIDR } from '../kubernetes/decode-service-cidr';
import { decodeService } from '../kubernetes/decode-service';
import { wrongTypes } from './field-types';
import { findObjects, type FoundObjects } from './find-objects';

/** One object of a manifest, as changes to the cluster. */
export interface ManifestObject {
  /** Such as `Service shop/cart`. */
  readonly id: string;
  readonly sets: readonly ClusterChange[];
  readonly deletion: ClusterChange;
}

export interface Manifest {
  /** The Services, EndpointSlices, Endpoints, Nodes and ServiceCIDRs, in the order of the text. */
  readonly objects: readonly ManifestObject[];
  readonly warnings: readonly ClusterWarning[];
  /** Such as `shop.yaml:3:7: what is wrong`. With errors there are no objects, because half a file is not a state of the cluster. */
  readonly errors: readonly string[];
}

/** Fills in the API server's defaults. */
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
  const metadata = fieldsOf(object.metadata);
  // The decoders refuse an object whose name or namespace is not a text.
  const [namespace, name] = [textOf(metadata.namespace), textOf(metadata.name)];
  if (object.kind === 'Endpoints') {
    const slices = decodeEndpoints(object, warn);
    const deletion: ClusterChange = { op: 'delete', kind: 'EndpointSlice', source: 'Endpoints', namespace, name };
    // The deletion also removes the slices of subsets that are gone.
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
  if (object.kind === 'ServiceCIDR') {
    const range = decodeServiceCIDR(object, warn);
    const deletion: ClusterChange = { op: 'delete', kind: 'ServiceCIDR', namespace: '', name };
    return range && { id: `ServiceCIDR ${name}`, sets: [{ op: 'set', object: range }], deletion };
  }
  const service = decodeService(object, warn);
  const deletion: ClusterChange = { op: 'delete', kind: 'Service', namespace, name };
  return service && { id: `Service ${namespace}/${name}`, sets: [{ op: 'set', object: service }], deletion };
}

/**
 * Returns the objects of a YAML or JSON text. Never throws.
 * @param fileName is used only in messages.
 */
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

/** Describes an object as `Service shop/web`, as far as its fields allow. */
function describe({ kind, metadata }: Fields): string {
  const { namespace, name } = fieldsOf(metadata);
  const words = isClusterWide(textOf(kind)) ? [name] : [namespace ?? 'default', name];
  return `${textOf(kind)} ${words.map((word) => (isSubdomain(textOf(word)) ? textOf(word) : quote(word))).join('/')}`;
}

/** Describes what was not read. Other kinds are mentioned only when there is nothing else. */
function whatIsNotRead(text: string, { objects, others, odd }: FoundObjects): string[] {
  if (objects.length > 0) return odd.map((what) => `${what}: left out`);
  if (text.trim() === '') return ['nothing to read: it is empty'];
  const kinds = [...others].map(([kind, count]) => `${count} of kind ${kind}`).join(', ');
  const rest =
    kinds === '' ? [] : [`${kinds}, but only Services, EndpointSlices, Endpoints, Nodes and ServiceCIDRs are read`];
  const reasons = [...odd, ...rest];
  return [
    `nothing to read: ${reasons.length === 0 ? 'it has no objects, only comments or markers' : reasons.join('; ')}`,
  ];
}

/** Limit of names in one message. */
const mostNamed = 3;

/** Warns about Services without a cluster IP. The cluster assigns it when a Service is applied. */
function withoutClusterIP(objects: readonly ManifestObject[]): string[] {
  const names = objects.flatMap(({ id, sets: [change] }) => {
    const isWithout =
      change?.op === 'set' && change.object.kind === 'Service' && change.object.notProxied === 'no cluster IP';
    return isWithout ? [id.slice('Service '.length)] : [];
  });
  if (names.length === 0) return [];
  const have = names.length === 1 ? '1 Service has' : `${names.length} Services have`;
  const which = `${names.slice(0, mostNamed).join(', ')}${names.length > mostNamed ? ', ...' : ''}`;
  return [`${have} no cluster IP (${which}): use the output of \`kubectl get\`, which has it`];
}
