/** External and load-balancer IPs that are addresses of Nodes, in modes that would make them addresses of this machine. */
import type { Clock } from '../host/clock';
import type { ClusterWarning, Service, ServiceKey } from '../model/cluster';
import type { OpenQuestions } from '../telemetry/open-questions';
import { NodeAddressBook, type NodeAddressBookOptions } from './node-address-book';

/** The first round waits at most so long for the list of Nodes, when a Service has an external or load-balancer IP. */
const nodeListWaitMs = 5000;

export interface VipsOfNodesOptions {
  readonly list: NodeAddressBookOptions['list'];
  readonly services: ReadonlyMap<ServiceKey, Service>;
  /** The mode makes VIPs addresses of this machine: only then are Nodes listed. */
  readonly bindsAddresses: () => boolean;
  /** Those of this machine. */
  readonly hostAddresses: () => readonly string[];
  /** It may be known now which IPs are addresses of Nodes, or no longer be waited for. */
  readonly onJudged: () => void;
  readonly warn: (warning: ClusterWarning) => void;
  readonly clock: Clock;
  readonly questions: OpenQuestions;
  readonly signal: AbortSignal;
}

export class VipsOfNodes {
  readonly #options: VipsOfNodesOptions;
  readonly #book: NodeAddressBook;
  #isOverdue = false;

  constructor(options: VipsOfNodesOptions) {
    this.#options = options;
    const { list, clock, questions, signal, onJudged } = options;
    this.#book = new NodeAddressBook({
      ...{ list, clock, questions, signal, onChange: onJudged },
      onFound: (service, address, node) => this.#warnOf(service, address, node),
    });
  }

  get judge(): NodeAddressBook['judge'] {
    return this.#book.judge;
  }

  /** The first round has to wait. */
  get isWaiting(): boolean {
    return !this.#isOverdue && this.#options.bindsAddresses() && this.#book.isWaiting;
  }

  /** The first round waits from now on, for a limited time. */
  async waitForNodes(): Promise<void> {
    const { clock, signal, onJudged } = this.#options;
    await clock.sleep(nodeListWaitMs, signal);
    this.#isOverdue = true;
    onJudged();
  }

  servicesChanged(keys: Iterable<ServiceKey>): void {
    const { services, bindsAddresses } = this.#options;
    if (!bindsAddresses()) return;
    for (const key of keys) {
      const { notProxied, externalIPs = [], loadBalancerIPs = [] } = services.get(key) ?? {};
      this.#book.serviceChanged(key, notProxied === undefined ? [...externalIPs, ...loadBalancerIPs] : []);
    }
  }

  #warnOf(service: ServiceKey, address: string, node: string): void {
    const { bindsAddresses, hostAddresses, warn } = this.#options;
    // An address of this machine needs no binding: its virtual server gets the packets as they are.
    if (!bindsAddresses() || hostAddresses().includes(address)) return;
    warn({
      object: `Service ${service}`,
      kind: 'node-address',
      message: `${address} is an address of Node ${node}: it is not made one of this machine, and connections of pods to it go to that Node`,
    });
  }
}
