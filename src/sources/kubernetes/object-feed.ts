import type { ClusterChange, ClusterWarning } from '../../model/cluster';
import { isClusterWide } from './decode-fields';
import { KnownObjects } from './known-objects';
import type { Resource } from './resources';
import type { ObjectMeta } from './watch-event';

/** The part of the sink that takes changes. */
export interface ChangeSink {
  apply(changes: readonly ClusterChange[]): void;
  warn(warning: ClusterWarning): void;
}

/** Passes the objects of one resource from the reflector to the sink: decodes them, leaves out what is known, and batches what came together. */
export class ObjectFeed {
  readonly #known = new KnownObjects();
  /** Keys in the present list. undefined when there is no list, or nothing to compare it with. */
  #listed: Set<string> | undefined;
  #batch: ClusterChange[] = [];

  readonly #resource: Resource;
  readonly #sink: ChangeSink;

  constructor(resource: Resource, sink: ChangeSink) {
    this.#resource = resource;
    this.#sink = sink;
  }

  /** To be called before the objects of a list. Forgets an earlier list that did not end. */
  beginList(): void {
    this.#listed = this.#known.size === 0 ? undefined : new Set();
  }

  listed(meta: ObjectMeta, object: unknown): void {
    if (this.#isNameless(meta)) return;
    const key = keyOf(meta);
    this.#listed?.add(key);
    if (this.#known.list(key, meta.resourceVersion)) this.#decode(meta, object);
  }

  /** To be called after a whole list. Deletes the known objects that it did not have. */
  endList(): void {
    if (this.#listed !== undefined) {
      for (const key of this.#known.keys()) {
        if (!this.#listed.has(key)) this.#forget(key);
      }
    }
    this.#listed = undefined;
    this.#known.listed();
    this.flush();
  }

  /** See KnownObjects. */
  distrust(): void {
    this.#known.distrust();
  }

  /** Deletes everything that was reported. */
  clear(): void {
    this.#listed = undefined;
    this.#known.listed();
    for (const key of [...this.#known.keys()]) this.#forget(key);
    this.flush();
  }

  set(meta: ObjectMeta, object: unknown): void {
    if (this.#isNameless(meta)) return;
    if (this.#known.set(keyOf(meta), meta.resourceVersion)) this.#decode(meta, object);
  }

  delete(meta: ObjectMeta): void {
    if (this.#isNameless(meta)) return;
    const key = keyOf(meta);
    this.#listed?.delete(key);
    if (this.#known.delete(key, meta.resourceVersion)) this.#push([this.#resource.deletion(meta.namespace, meta.name)]);
  }

  flush(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#sink.apply(batch);
  }

  #forget(key: string): void {
    this.#known.forget(key);
    const slash = key.indexOf('/');
    this.#push([this.#resource.deletion(key.slice(0, slash), key.slice(slash + 1))]);
  }

  /** An object without usable contents counts as deleted. */
  #decode(meta: ObjectMeta, object: unknown): void {
    const changes = this.#resource.decode(object, (warning) => this.#sink.warn(warning));
    this.#push(changes ?? [this.#resource.deletion(meta.namespace, meta.name)]);
  }

  #push(changes: readonly ClusterChange[]): void {
    // All objects from one read of the socket go into one batch, as soon as they are decoded.
    if (this.#batch.length === 0) queueMicrotask(() => this.flush());
    this.#batch.push(...changes);
  }

  #isNameless({ namespace, name }: ObjectMeta): boolean {
    if (name !== '' && (namespace !== '' || isClusterWide(this.#resource.kind))) return false;
    const object = `${this.#resource.kind} ${namespace === '' ? '?' : namespace}/${name === '' ? '?' : name}`;
    this.#sink.warn({ object, kind: 'no-name', message: 'has no name or no namespace: ignored' });
    return true;
  }
}

function keyOf(meta: ObjectMeta): string {
  return `${meta.namespace}/${meta.name}`;
}
