import type { ClusterChange, ClusterState, EndpointSlice, Node, Service, ServiceKey } from './cluster';
import { serviceKey } from './cluster';
import { sameValue } from './same-value';

/** What changed since it was last asked for. */
export interface ClusterChanges {
  /** Services that changed, went, or whose slices did. Naming one that is as before does no harm. */
  readonly services: ReadonlySet<ServiceKey>;
  readonly nodes: boolean;
  /**
   * When the endpoint changes among these were triggered (lastChangeTriggerMs), for the network programming latency; a
   * Service that lost a slice has none, since its slices no longer tell.
   */
  readonly triggerTimesMs: ReadonlyMap<ServiceKey, readonly number[]>;
}

type Deletion = Extract<ClusterChange, { op: 'delete' }>;
type BySource = Readonly<Record<EndpointSlice['source'], readonly EndpointSlice[]>>;

const nothing: readonly EndpointSlice[] = [];
const noSlices: BySource = { EndpointSlice: nothing, Endpoints: nothing };

/** Endpoints objects serve only where their Service has no EndpointSlice. */
function serving(slices: BySource): readonly EndpointSlice[] {
  return slices.EndpointSlice.length > 0 ? slices.EndpointSlice : slices.Endpoints;
}

/** Apart from the trigger time: a slice that says the same later is no change. */
function sameSlice(a: EndpointSlice, b: EndpointSlice): boolean {
  return (
    a.name === b.name && a.family === b.family && sameValue(a.ports, b.ports) && sameValue(a.endpoints, b.endpoints)
  );
}

function sameSlices(a: readonly EndpointSlice[], b: readonly EndpointSlice[]): boolean {
  return a.length === b.length && a.every((slice, i) => sameSlice(slice, b[i] as EndpointSlice));
}

/** With the slice, in the order of names, in the place of the one of its name. */
function withSlice(slices: readonly EndpointSlice[], added: EndpointSlice): readonly EndpointSlice[] {
  const others = slices.filter((slice) => slice.name !== added.name);
  const at = others.findIndex((slice) => slice.name > added.name);
  return others.toSpliced(at < 0 ? others.length : at, 0, added);
}

/** What was true of the slices of the Services that a batch has touched so far, and when its changes were triggered. */
interface Batch {
  readonly before: Map<ServiceKey, BySource>;
  readonly triggerTimesMs: Map<ServiceKey, number[]>;
}

/**
 * The cluster as its sources told it. What it holds depends on the last word about each object, not on the order in which
 * objects came; an object that is told again as it was changes nothing.
 */
export class ClusterStore implements ClusterState {
  readonly #services = new Map<ServiceKey, Service>();
  readonly #nodes = new Map<string, Node>();
  readonly #slices = new Map<ServiceKey, BySource>();
  /** Whose slice an EndpointSlice is, by its `namespace/name`: its label may come to name another Service. */
  readonly #sliceOwners = new Map<string, ServiceKey>();
  #changedServices = new Set<ServiceKey>();
  #changedNodes = false;
  #triggerTimesMs = new Map<ServiceKey, number[]>();

  /** Trigger times before `startedMs` (since the epoch) tell nothing about this process and are left out. */
  constructor(private readonly startedMs: number) {}

  get services(): ReadonlyMap<ServiceKey, Service> {
    return this.#services;
  }

  get nodes(): ReadonlyMap<string, Node> {
    return this.#nodes;
  }

  slicesOf(key: ServiceKey): readonly EndpointSlice[] {
    return serving(this.#slices.get(key) ?? noSlices);
  }

  apply(changes: readonly ClusterChange[]): void {
    const batch: Batch = { before: new Map(), triggerTimesMs: new Map() };
    for (const change of changes) {
      if (change.op === 'set') this.#set(change.object, batch);
      else this.#delete(change, batch);
    }
    // Slices are compared over the whole batch: an Endpoints object is told anew as a deletion and its new slices.
    for (const [key, before] of batch.before) {
      const after = this.#slices.get(key) ?? noSlices;
      if (sameSlices(before.EndpointSlice, after.EndpointSlice) && sameSlices(before.Endpoints, after.Endpoints)) {
        this.#putSlices(key, before);
      } else if (!sameSlices(serving(before), serving(after))) {
        this.#changedServices.add(key);
        const times = batch.triggerTimesMs.get(key);
        if (times !== undefined) this.#triggerTimesMs.set(key, [...(this.#triggerTimesMs.get(key) ?? []), ...times]);
      }
    }
  }

  /** What changed since the last call; the next one starts from nothing. */
  takeChanged(): ClusterChanges {
    const taken = {
      services: this.#changedServices,
      nodes: this.#changedNodes,
      triggerTimesMs: this.#triggerTimesMs,
    };
    this.#changedServices = new Set();
    this.#changedNodes = false;
    this.#triggerTimesMs = new Map();
    return taken;
  }

  #set(object: Service | EndpointSlice | Node, batch: Batch): void {
    if (object.kind === 'EndpointSlice') {
      this.#setSlice(object, batch);
    } else if (object.kind === 'Node') {
      if (sameValue(this.#nodes.get(object.name), object)) return;
      this.#nodes.set(object.name, object);
      this.#changedNodes = true;
    } else {
      const key = serviceKey(object.namespace, object.name);
      if (sameValue(this.#services.get(key), object)) return;
      this.#services.set(key, object);
      this.#changedServices.add(key);
    }
  }

  #setSlice(slice: EndpointSlice, batch: Batch): void {
    const key = serviceKey(slice.namespace, slice.serviceName);
    if (slice.source === 'EndpointSlice') {
      const id = `${slice.namespace}/${slice.name}`;
      const owner = this.#sliceOwners.get(id);
      if (owner !== undefined && owner !== key) this.#removeSlices(owner, slice.source, slice.name, batch);
      this.#sliceOwners.set(id, key);
    }
    const present = this.#slices.get(key)?.[slice.source].find(({ name }) => name === slice.name);
    if (present !== undefined && sameSlice(present, slice)) return;
    const slices = this.#touch(key, batch);
    this.#putSlices(key, { ...slices, [slice.source]: withSlice(slices[slice.source], slice) });
    if (slice.lastChangeTriggerMs !== undefined && slice.lastChangeTriggerMs > this.startedMs) {
      const times = batch.triggerTimesMs.get(key);
      if (times === undefined) batch.triggerTimesMs.set(key, [slice.lastChangeTriggerMs]);
      else times.push(slice.lastChangeTriggerMs);
    }
  }

  #delete(change: Deletion, batch: Batch): void {
    const key = serviceKey(change.namespace, change.name);
    switch (change.kind) {
      case 'Node':
        if (this.#nodes.delete(change.name)) this.#changedNodes = true;
        break;
      case 'Service':
        if (this.#services.delete(key)) this.#changedServices.add(key);
        break;
      case 'EndpointSlice': {
        if (change.source === 'Endpoints') {
          this.#removeSlices(key, change.source, undefined, batch);
          break;
        }
        const owner = this.#sliceOwners.get(key);
        if (owner !== undefined) this.#removeSlices(owner, change.source, change.name, batch);
        this.#sliceOwners.delete(key);
      }
    }
  }

  /** Removes the slice of this name, or all of this source where none is named. */
  #removeSlices(key: ServiceKey, source: EndpointSlice['source'], name: string | undefined, batch: Batch): void {
    const slices = this.#touch(key, batch);
    const left = name === undefined ? nothing : slices[source].filter((slice) => slice.name !== name);
    if (left.length === slices[source].length) return;
    this.#putSlices(key, { ...slices, [source]: left });
    this.#triggerTimesMs.delete(key);
    batch.triggerTimesMs.delete(key);
  }

  #touch(key: ServiceKey, batch: Batch): BySource {
    const slices = this.#slices.get(key) ?? noSlices;
    if (!batch.before.has(key)) batch.before.set(key, slices);
    return slices;
  }

  #putSlices(key: ServiceKey, slices: BySource): void {
    if (slices.EndpointSlice.length + slices.Endpoints.length === 0) this.#slices.delete(key);
    else this.#slices.set(key, slices);
  }
}
