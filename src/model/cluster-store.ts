import {
  type ClusterChange,
  type ClusterState,
  type EndpointSlice,
  type Node,
  type Service,
  type ServiceCIDR,
  type ServiceKey,
  serviceKey,
} from './cluster';
import { sameValue } from './same-value';

/** What changed since the last call of `takeChanged`. */
export interface ClusterChanges {
  /** Services that changed or were deleted, or whose slices were. It may also contain Services that are as they were. */
  readonly services: ReadonlySet<ServiceKey>;
  readonly nodes: boolean;
  readonly serviceCIDRs: boolean;
  /**
   * When these changes of endpoints were triggered (lastChangeTriggerMs), for the network programming latency. A Service
   * that lost a slice has no entry, because its remaining slices do not say when that happened.
   */
  readonly triggerTimesMs: ReadonlyMap<ServiceKey, readonly number[]>;
}

type Deletion = Extract<ClusterChange, { op: 'delete' }>;
type SliceSource = EndpointSlice['source'];

const nothing: readonly EndpointSlice[] = [];

/** The slices of one Service by name, so that adding or removing one does not touch the others. */
class ServiceSlices {
  readonly EndpointSlice = new Map<string, EndpointSlice>();
  readonly Endpoints = new Map<string, EndpointSlice>();
  #sorted: readonly EndpointSlice[] | undefined;

  get isEmpty(): boolean {
    return this.EndpointSlice.size + this.Endpoints.size === 0;
  }

  /** Endpoints objects serve only if their Service has no EndpointSlice. */
  get serving(): SliceSource {
    return this.EndpointSlice.size > 0 ? 'EndpointSlice' : 'Endpoints';
  }

  /** The slices that serve, sorted by name. */
  sorted(): readonly EndpointSlice[] {
    this.#sorted ??= [...this[this.serving].values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return this.#sorted;
  }

  put(source: SliceSource, name: string, slice: EndpointSlice | undefined): void {
    this.#sorted = undefined;
    if (slice === undefined) this[source].delete(name);
    else this[source].set(name, slice);
  }
}

/** Ignores the trigger time: a slice that differs in that alone has not changed. */
function sameSlice(a: EndpointSlice, b: EndpointSlice): boolean {
  return (
    a.name === b.name && a.family === b.family && sameValue(a.ports, b.ports) && sameValue(a.endpoints, b.endpoints)
  );
}

/** The slices of one Service that a batch has touched so far, as they were before the batch. */
interface Touched {
  readonly serving: SliceSource;
  readonly slices: Readonly<Record<SliceSource, Map<string, EndpointSlice | undefined>>>;
}

/** What one call of `apply` has touched, and when its changes were triggered. */
interface Batch {
  readonly before: Map<ServiceKey, Touched>;
  readonly triggerTimesMs: Map<ServiceKey, number[]>;
}

function sameOrAbsent(a: EndpointSlice | undefined, b: EndpointSlice | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && sameSlice(a, b));
}

/**
 * The cluster as its sources reported it. Its content depends on the last report of each object, not on the order in which
 * the objects came. An object that is reported again unchanged counts as no change.
 */
export class ClusterStore implements ClusterState {
  readonly #services = new Map<ServiceKey, Service>();
  readonly #nodes = new Map<string, Node>();
  /** The CIDRs of each ServiceCIDR, by its name. */
  readonly #serviceCIDRs = new Map<string, readonly string[]>();
  readonly #slices = new Map<ServiceKey, ServiceSlices>();
  /** The Service of each EndpointSlice, by the slice's `namespace/name`: its label may change to another Service. */
  readonly #sliceOwners = new Map<string, ServiceKey>();
  #changedServices = new Set<ServiceKey>();
  #changedNodes = false;
  #changedServiceCIDRs = false;
  #triggerTimesMs = new Map<ServiceKey, number[]>();
  readonly #startedMs: number;

  /** Trigger times before `startedMs` (since the epoch) say nothing about this process and are left out. */
  constructor(startedMs: number) {
    this.#startedMs = startedMs;
  }

  get services(): ReadonlyMap<ServiceKey, Service> {
    return this.#services;
  }

  get nodes(): ReadonlyMap<string, Node> {
    return this.#nodes;
  }

  /** Canonical, both families, sorted, each once, whichever ServiceCIDRs have it. */
  get serviceCIDRs(): readonly string[] {
    return [...new Set([...this.#serviceCIDRs.values()].flat())].sort();
  }

  slicesOf(key: ServiceKey): readonly EndpointSlice[] {
    return this.#slices.get(key)?.sorted() ?? nothing;
  }

  apply(changes: readonly ClusterChange[]): void {
    const batch: Batch = { before: new Map(), triggerTimesMs: new Map() };
    for (const change of changes) {
      if (change.op === 'set') this.#set(change.object, batch);
      else this.#delete(change, batch);
    }
    // Slices are compared over the whole batch, because a changed Endpoints object comes as a deletion and its new slices.
    for (const [key, touched] of batch.before) {
      if (!this.#settle(key, touched)) continue;
      this.#changedServices.add(key);
      const times = batch.triggerTimesMs.get(key);
      if (times === undefined) continue;
      const earlier = this.#triggerTimesMs.get(key);
      if (earlier === undefined) this.#triggerTimesMs.set(key, times);
      else for (const time of times) earlier.push(time);
    }
  }

  /** Returns what changed since the last call, and forgets it. */
  takeChanged(): ClusterChanges {
    const taken = {
      services: this.#changedServices,
      nodes: this.#changedNodes,
      serviceCIDRs: this.#changedServiceCIDRs,
      triggerTimesMs: this.#triggerTimesMs,
    };
    this.#changedServices = new Set();
    this.#changedNodes = false;
    this.#changedServiceCIDRs = false;
    this.#triggerTimesMs = new Map();
    return taken;
  }

  #set(object: Service | EndpointSlice | Node | ServiceCIDR, batch: Batch): void {
    if (object.kind === 'EndpointSlice') {
      this.#setSlice(object, batch);
    } else if (object.kind === 'Node') {
      if (sameValue(this.#nodes.get(object.name), object)) return;
      this.#nodes.set(object.name, object);
      this.#changedNodes = true;
    } else if (object.kind === 'ServiceCIDR') {
      if (sameValue(this.#serviceCIDRs.get(object.name), object.cidrs)) return;
      this.#serviceCIDRs.set(object.name, object.cidrs);
      this.#changedServiceCIDRs = true;
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
    const present = this.#slices.get(key)?.[slice.source].get(slice.name);
    if (present !== undefined && sameSlice(present, slice)) return;
    this.#touch(key, slice.source, slice.name, batch).put(slice.source, slice.name, slice);
    if (slice.lastChangeTriggerMs !== undefined && slice.lastChangeTriggerMs > this.#startedMs) {
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
      case 'ServiceCIDR':
        if (this.#serviceCIDRs.delete(change.name)) this.#changedServiceCIDRs = true;
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

  /** Removes the slice of this name, or all slices of this source if `name` is undefined. */
  #removeSlices(key: ServiceKey, source: SliceSource, name: string | undefined, batch: Batch): void {
    const slices = this.#slices.get(key);
    const gone = name === undefined ? [...(slices?.[source].keys() ?? [])] : [name];
    let hasGone = false;
    for (const one of gone) {
      if (slices?.[source].has(one) !== true) continue;
      this.#touch(key, source, one, batch).put(source, one, undefined);
      hasGone = true;
    }
    if (!hasGone) return;
    this.#triggerTimesMs.delete(key);
    batch.triggerTimesMs.delete(key);
  }

  /** Notes how the slice of this name was before the batch, which is about to change it. Returns the Service's slices. */
  #touch(key: ServiceKey, source: SliceSource, name: string, batch: Batch): ServiceSlices {
    const slices = this.#slices.get(key) ?? new ServiceSlices();
    this.#slices.set(key, slices);
    const touched = batch.before.get(key) ?? {
      serving: slices.serving,
      slices: { EndpointSlice: new Map(), Endpoints: new Map() },
    };
    batch.before.set(key, touched);
    const before = touched.slices[source];
    if (!before.has(name)) before.set(name, slices[source].get(name));
    return slices;
  }

  /**
   * At the end of a batch: returns whether the slices that serve have changed. Slices that are equal to the ones before the
   * batch are replaced by those, so that the objects stay the same.
   */
  #settle(key: ServiceKey, touched: Touched): boolean {
    const slices = this.#slices.get(key);
    if (slices === undefined) return false;
    const differs = { EndpointSlice: false, Endpoints: false };
    for (const source of ['EndpointSlice', 'Endpoints'] as const)
      for (const [name, before] of touched.slices[source])
        if (sameOrAbsent(before, slices[source].get(name))) slices.put(source, name, before);
        else differs[source] = true;
    const { serving } = slices;
    if (slices.isEmpty) this.#slices.delete(key);
    return serving === touched.serving ? differs[serving] : differs.EndpointSlice;
  }
}
