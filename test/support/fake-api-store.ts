/** What a fake API server holds: objects as text, resource versions, and the events since the last compaction. */

export interface FakeObject {
  readonly apiVersion?: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

export type FakeResource = 'services' | 'endpointslices' | 'endpoints' | 'nodes' | 'servicecidrs';

export const pathOf: Readonly<Record<FakeResource, string>> = {
  services: '/api/v1/services',
  endpoints: '/api/v1/endpoints',
  nodes: '/api/v1/nodes',
  endpointslices: '/apis/discovery.k8s.io/v1/endpointslices',
  servicecidrs: '/apis/networking.k8s.io/v1/servicecidrs',
};

const resourceOfKind: Readonly<Record<string, FakeResource | undefined>> = {
  Service: 'services',
  EndpointSlice: 'endpointslices',
  Endpoints: 'endpoints',
  Node: 'nodes',
  ServiceCIDR: 'servicecidrs',
};

export const kindOf: Readonly<Record<FakeResource, string>> = {
  services: 'Service',
  endpointslices: 'EndpointSlice',
  endpoints: 'Endpoints',
  nodes: 'Node',
  servicecidrs: 'ServiceCIDR',
};

export const apiVersionOf = (resource: FakeResource): string => /^\/apis\/(.*)\//.exec(pathOf[resource])?.[1] ?? 'v1';

export interface StoredObject {
  readonly key: string;
  readonly version: number;
  readonly json: string;
  readonly object: FakeObject;
}

export interface StoredEvent {
  readonly version: number;
  /** What was there before and what is there after; a deletion's `after` is undefined and `before` is told anew. */
  readonly before: StoredObject | undefined;
  readonly after: StoredObject | undefined;
}

export type Selects = (object: FakeObject) => boolean;

function labelTerm(term: string): Selects {
  const [, not, key = '', operator, value] = /^(!?)([^=!]+)(=|==|!=)?(.*)$/.exec(term) ?? [];
  return ({ metadata: { labels = {} } }) => {
    if (operator === undefined) return key in labels !== (not === '!');
    return (labels[key] === value) !== (operator === '!=');
  };
}

function fieldTerm(term: string): Selects {
  const [, path = '', operator, value = ''] = /^([^=!]+)(=|==|!=)(.*)$/.exec(term) ?? [];
  return (object) => {
    const found = path
      .split('.')
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], object);
    return ((found ?? '') === value) !== (operator === '!=');
  };
}

/** The parts of selector grammar that proxies use: `!key`, `key`, `key=value`, `key!=value`, joined by commas. */
export function parseSelectors(labels: string, fields: string): Selects {
  const terms = [
    ...labels.split(',').filter(Boolean).map(labelTerm),
    ...fields.split(',').filter(Boolean).map(fieldTerm),
  ];
  return (object) => terms.every((term) => term(object));
}

export class FakeApiStore {
  version = 1000;
  /** Watches cannot begin before this version. */
  compacted = 1000;
  readonly #objects: Readonly<Record<FakeResource, Map<string, StoredObject>>> = {
    services: new Map(),
    endpointslices: new Map(),
    servicecidrs: new Map(),
    endpoints: new Map(),
    nodes: new Map(),
  };
  readonly #events: Record<FakeResource, StoredEvent[]> = {
    services: [],
    endpointslices: [],
    servicecidrs: [],
    endpoints: [],
    nodes: [],
  };

  put(object: FakeObject): { readonly resource: FakeResource; readonly event: StoredEvent } {
    const resource = resourceOfKind[object.kind];
    if (resource === undefined) throw new Error(`the fake API server has no ${object.kind}`);
    const { namespace, name } = object.metadata;
    const isClusterWide = resource === 'nodes' || resource === 'servicecidrs';
    const key = isClusterWide ? name : `${namespace ?? 'default'}/${name}`;
    const stored: FakeObject = {
      apiVersion: apiVersionOf(resource),
      ...object,
      metadata: {
        ...object.metadata,
        ...(isClusterWide ? {} : { namespace: namespace ?? 'default' }),
        resourceVersion: String(++this.version),
      },
    };
    const before = this.#objects[resource].get(key);
    const after = { key, version: this.version, json: JSON.stringify(stored), object: stored };
    this.#objects[resource].set(key, after);
    return { resource, event: this.#record(resource, { version: this.version, before, after }) };
  }

  /** undefined: there was none. */
  delete(resource: FakeResource, key: string): StoredEvent | undefined {
    const last = this.#objects[resource].get(key);
    if (last === undefined) return undefined;
    this.#objects[resource].delete(key);
    const version = ++this.version;
    const object = { ...last.object, metadata: { ...last.object.metadata, resourceVersion: String(version) } };
    const before = { key, version, json: JSON.stringify(object), object };
    return this.#record(resource, { version, before, after: undefined });
  }

  get(resource: FakeResource, key: string): StoredObject | undefined {
    return this.#objects[resource].get(key);
  }

  /** In the order of keys. */
  list(resource: FakeResource, selects: Selects): StoredObject[] {
    return [...this.#objects[resource].values()]
      .filter(({ object }) => selects(object))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  eventsAfter(resource: FakeResource, version: number): StoredEvent[] {
    return this.#events[resource].filter((event) => event.version > version);
  }

  /** Watches that would resume from before now get 410. */
  compact(): void {
    this.compacted = ++this.version;
    for (const events of Object.values(this.#events)) events.length = 0;
  }

  /** As when etcd is restored from a backup: versions are given out once more. */
  goBack(version: number): void {
    this.version = version;
    this.compacted = version;
    for (const events of Object.values(this.#events)) events.length = 0;
  }

  #record(resource: FakeResource, event: StoredEvent): StoredEvent {
    this.#events[resource].push(event);
    return event;
  }
}

/** A watch's line; undefined where the event is nothing to a watch with this selector. */
export function eventLine({ before, after }: StoredEvent, selects: Selects): string | undefined {
  const was = before !== undefined && selects(before.object);
  if (after !== undefined && selects(after.object))
    return `{"type":"${was ? 'MODIFIED' : 'ADDED'}","object":${after.json}}\n`;
  if (!was) return undefined;
  if (after === undefined) return `{"type":"DELETED","object":${before.json}}\n`;
  // It is still there and no longer selected: its last selected state, at the version of the change.
  const metadata = { ...before.object.metadata, resourceVersion: String(after.version) };
  return `{"type":"DELETED","object":${JSON.stringify({ ...before.object, metadata })}}\n`;
}
