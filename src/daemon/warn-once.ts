/** Warnings about objects of the cluster and about this node: each is said once, however often it comes. */
import type { ClusterWarning } from '../model/cluster';
import type { Logger } from '../telemetry/log';

const mostRemembered = 1000;

export class WarnOnce {
  private readonly said = new Set<string>();

  /** @param count is called for each warning about an object, and once for each about the node. */
  constructor(
    private readonly log: Logger,
    private readonly count: (warning: ClusterWarning) => void,
  ) {}

  /** A relist brings every fault again: each is counted, and said once per object. */
  ofObject(warning: ClusterWarning): void {
    const { object, kind, message } = warning;
    this.count(warning);
    if (this.isNew(`${object}: ${message}`)) this.log.warn({ object, kind }, message);
  }

  /** Settings of the node are planned again and again: a fault is counted once, too. */
  ofNode(kind: string, message: string): void {
    if (!this.isNew(message)) return;
    this.count({ object: 'this node', kind, message });
    this.log.warn({ kind }, message);
  }

  private isNew(line: string): boolean {
    if (this.said.has(line)) return false;
    if (this.said.size >= mostRemembered) this.said.clear();
    this.said.add(line);
    return true;
  }
}
