/** Warnings about objects of the cluster and about this node: each is logged once, however often it comes. */
import type { ClusterWarning } from '../model/cluster';
import type { Logger } from '../telemetry/log';

const mostRemembered = 1000;

export class WarnOnce {
  readonly #said = new Set<string>();
  readonly #log: Logger;
  readonly #count: (warning: ClusterWarning) => void;

  /** @param count is called for each warning about an object, and once for each about the node. */
  constructor(log: Logger, count: (warning: ClusterWarning) => void) {
    this.#log = log;
    this.#count = count;
  }

  /** A relist brings every fault again: each is counted, and logged once per object. */
  ofObject(warning: ClusterWarning): void {
    const { object, kind, message } = warning;
    this.#count(warning);
    if (this.#isNew(`${object}: ${message}`)) this.#log.warn({ object, kind }, message);
  }

  /** The settings of the node are planned again and again: a fault is also counted only once. */
  ofNode(kind: string, message: string): void {
    if (!this.#isNew(message)) return;
    this.#count({ object: 'this node', kind, message });
    this.#log.warn({ kind }, message);
  }

  #isNew(line: string): boolean {
    if (this.#said.has(line)) return false;
    if (this.#said.size >= mostRemembered) this.#said.clear();
    this.#said.add(line);
    return true;
  }
}
