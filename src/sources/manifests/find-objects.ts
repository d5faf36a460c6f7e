/** Finds the objects of the kinds that are read in the documents of a file, and describes everything else. */
import type { YamlDocument } from '../../yaml/parse-kubernetes-yaml';
import { type Fields, fieldsOf, quote, textOf } from '../kubernetes/decode-fields';

const groups: ReadonlyMap<string, string> = new Map([
  ['Service', ''],
  ['Endpoints', ''],
  ['Node', ''],
  ['EndpointSlice', 'discovery.k8s.io'],
  ['ServiceCIDR', 'networking.k8s.io'],
]);

/** Other groups have a kind Service too, such as Knative. An object without a group is taken by its kind. */
function isOurs(kind: string, apiVersion: string): boolean {
  const group = groups.get(kind);
  return (
    group !== undefined && (apiVersion === '' || apiVersion.slice(0, Math.max(apiVersion.indexOf('/'), 0)) === group)
  );
}

export interface FoundObjects {
  /** In the order of the text. */
  readonly objects: readonly Fields[];
  /** The number of objects per other kind: `Deployment`, or `Service of serving.knative.dev/v1`. */
  readonly others: ReadonlyMap<string, number>;
  /** Descriptions of what is not an object at all: `line 3: a list ...`. */
  readonly odd: readonly string[];
}

interface Step {
  readonly value: unknown;
  readonly where: string;
  /** The item kind and version of the list around it, because items may leave them out. */
  readonly kind: string;
  readonly apiVersion: string;
}

/** Takes lists (`List`, `ServiceList`) apart. Looks at each object only once, because YAML aliases may refer to it often. */
export function findObjects(documents: readonly YamlDocument[]): FoundObjects {
  const objects: Fields[] = [];
  const others = new Map<string, number>();
  const odd: string[] = [];
  const seen = new Set<unknown>();
  const steps = documents
    .map(({ value, line }): Step => ({ value, where: `line ${line}: `, kind: '', apiVersion: '' }))
    .reverse();
  for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
    const { value, where } = step;
    const fields = fieldsOf(value);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      odd.push(
        `${where}${Array.isArray(value) ? 'a list' : quote(value)}, where kubectl takes an object or a kind: List`,
      );
      continue;
    }
    if (seen.has(value)) continue;
    seen.add(value);
    const kind = textOf(fields.kind) || step.kind;
    const apiVersion = textOf(fields.apiVersion) || step.apiVersion;
    if (kind.endsWith('List') && (Array.isArray(fields.items) || isBareList(kind, fields))) {
      const list: Step = { value: fields.items, where, kind, apiVersion };
      if (Array.isArray(fields.items) && fields.items.length > 0) steps.push(...itemsOf(fields.items, list).reverse());
      else odd.push(describeNoItems(list));
    } else if (isOurs(kind, apiVersion)) objects.push({ ...fields, kind });
    else if (kind === '') odd.push(`${where}an object without a kind`);
    else {
      const what = groups.has(kind) ? `${kind} of ${apiVersion}` : kind;
      others.set(what, (others.get(what) ?? 0) + 1);
    }
  }
  return { objects, others, odd };
}

/** Whether it is a list, although its items are missing or are not a list. */
function isBareList(kind: string, { items }: Fields): boolean {
  return kind === 'List' || groups.has(kind.slice(0, -'List'.length)) || items !== undefined;
}

/** @param value the value that is there instead of items. */
function describeNoItems({ value, where, kind }: Step): string {
  return Array.isArray(value) || value === undefined || value === null
    ? `${where}a ${kind} without items`
    : `${where}items of a ${kind}: want a list, got ${quote(value)}`;
}

function itemsOf(items: readonly unknown[], { where, kind, apiVersion }: Step): Step[] {
  const itemKind = kind.slice(0, -'List'.length);
  const itemVersion = itemKind === '' ? '' : apiVersion;
  return items.map((value, i) => ({
    value,
    where: `${where.replace(/: $/, '')}, items[${i}]: `,
    kind: itemKind,
    apiVersion: itemVersion,
  }));
}
