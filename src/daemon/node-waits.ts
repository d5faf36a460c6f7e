/** What the first round waits for when the Node lacks it, and what happens when it does not come. */
import type { Clock } from '../host/clock';
import type { Logger } from '../telemetry/log';
import { type AgentNode, nodeWaits } from './agent-node';

export interface NodeWaitsOptions {
  readonly nodeName: string;
  readonly node: AgentNode;
  readonly clock: Clock;
  readonly log: Logger;
  /** Ends every wait without a result. */
  readonly signal: AbortSignal;
}

export interface NodeWaitsEnds {
  /** Asked when the wait for a Node is over. */
  readonly needsNode: () => boolean;
  readonly needsAddresses: boolean;
  /** There is no such Node. */
  readonly warn: (problem: string) => void;
  /** The daemon cannot go on. */
  readonly fail: (problem: string) => void;
  /** The node goes on without its addresses. */
  readonly goOn: () => void;
}

export class NodeWaits {
  readonly #options: NodeWaitsOptions;

  constructor(options: NodeWaitsOptions) {
    this.#options = options;
  }

  start({ needsNode, needsAddresses, warn, fail, goOn }: NodeWaitsEnds): void {
    void this.#forNode().then((problem) => {
      if (problem !== undefined && needsNode()) warn(problem);
    });
    void this.#forPodCIDRs().then((problem) => {
      if (problem !== undefined) fail(problem);
    });
    if (needsAddresses)
      void this.#forAddresses().then((goesOn) => {
        if (goesOn) goOn();
      });
  }

  /** Resolves with what is wrong when no Node of the name has come: most often the name is a mistake. undefined: there is one. */
  async #forNode(): Promise<string | undefined> {
    const { clock, nodeName, node, signal } = this.#options;
    await clock.sleep(nodeWaits.nodeMs, signal);
    if (signal.aborted || node.object !== undefined) return undefined;
    const lacks = 'its zone, addresses and podCIDRs are unknown (--hostname-override names another)';
    return `no Node is named ${nodeName}: ${lacks}`;
  }

  /** Resolves with why the daemon cannot go on. undefined: it has them. */
  async #forPodCIDRs(): Promise<string | undefined> {
    const { clock, log, nodeName, node, signal } = this.#options;
    if (!node.lacksPodCIDRs()) return undefined;
    log.info({ node: nodeName }, 'waiting for the Node to be given podCIDRs');
    await clock.sleep(nodeWaits.podCIDRsMs, signal);
    if (!node.lacksPodCIDRs() || signal.aborted) return undefined;
    const what = node.object === undefined ? `there is no Node ${nodeName}` : `Node ${nodeName} has no podCIDRs`;
    return `${what} after ${nodeWaits.podCIDRsMs / 60_000} minutes (detectLocalMode NodeCIDR)`;
  }

  /** Resolves with true when the node goes on without its addresses. */
  async #forAddresses(): Promise<boolean> {
    const { clock, log, nodeName, node, signal } = this.#options;
    if (!node.lacksAddresses()) return false;
    log.info({ node: nodeName }, 'waiting for the addresses of the Node (nodePortAddresses primary)');
    await clock.sleep(nodeWaits.addressesMs, signal);
    if (!node.lacksAddresses() || signal.aborted) return false;
    log.warn({ node: nodeName }, 'the Node has no address: NodePorts answer on every address until it has');
    node.goWithoutAddresses();
    return true;
  }
}
