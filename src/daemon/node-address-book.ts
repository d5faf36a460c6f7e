/**
 * Which external and load-balancer IPs are addresses that a Node has. If such an IP became an address of this
 * machine, the machine and its pods would no longer reach that Node, on any port (kubernetes #127410, #104679).
 *
 * Nodes are not watched for this. They are listed when there is an IP that no list of the last five minutes was asked about. While
 * they cannot be listed, the answer is unknown: what is in force stays, and a new IP waits for a while. Then it is treated as free,
 * as kube-proxy treats it, until a list says more.
 */
import type { Clock } from '../host/clock';
import { unknown } from '../model/answer';
import type { ServiceKey } from '../model/cluster';
import type { AddressJudgement } from '../backends/backend';
import type { OpenQuestions } from '../telemetry/open-questions';

const second = 1000;
/** A list answers questions for so long. */
const listLifeMs = 300 * second;
/** A new IP waits at most so long for a list. */
const mostWaitMs = 10 * second;
const firstPauseMs = second;
const mostPauseMs = 60 * second;

const question = 'which addresses Nodes have';

export interface NodeAddressBookOptions {
  /** Returns the name of the Node that has an address, by canonical address. Throws when Nodes cannot be listed. */
  readonly list: (signal: AbortSignal) => Promise<ReadonlyMap<string, string>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly questions: OpenQuestions | undefined;
  /** The judgement of some address may have changed. */
  readonly onChange: () => void;
  /** Called again for the same address. */
  readonly onFound: (service: ServiceKey, address: string, node: string) => void;
}

export class NodeAddressBook {
  readonly #options: NodeAddressBookOptions;
  readonly #byService = new Map<ServiceKey, readonly string[]>();
  readonly #wanted = new Map<string, Set<ServiceKey>>();
  /** Since when addresses wait that no list was asked about. */
  readonly #waiting = new Map<string, number>();
  #listed: { readonly nodes: ReadonlyMap<string, string>; readonly atMs: number } | undefined;
  #isListing = false;

  constructor(options: NodeAddressBookOptions) {
    this.#options = options;
  }

  /** @param addresses the external and load-balancer IPs of a Service that came, changed or went, in canonical form. */
  serviceChanged(service: ServiceKey, addresses: readonly string[]): void {
    for (const address of this.#byService.get(service) ?? [])
      if (!addresses.includes(address)) this.#drop(address, service);
    if (addresses.length === 0) this.#byService.delete(service);
    else this.#byService.set(service, addresses);
    for (const address of addresses) this.#add(address, service);
    if (this.#waiting.size > 0) void this.#keepListing();
  }

  readonly judge = (address: string): AddressJudgement => {
    if (this.#listed?.nodes.has(address) === true) return 'of a Node';
    const since = this.#waiting.get(address);
    return since === undefined || this.#options.clock.now() - since >= mostWaitMs ? 'free' : 'unknown';
  };

  /** Some IP waits for a list. */
  get isWaiting(): boolean {
    return [...this.#waiting.keys()].some((address) => this.judge(address) === 'unknown');
  }

  #add(address: string, service: ServiceKey): void {
    const { clock } = this.#options;
    const services = this.#wanted.get(address);
    if (services !== undefined) services.add(service);
    else {
      this.#wanted.set(address, new Set([service]));
      const isAnswered = this.#listed !== undefined && clock.now() - this.#listed.atMs < listLifeMs;
      if (!isAnswered) this.#waiting.set(address, clock.now());
    }
    this.#tell(address);
  }

  #drop(address: string, service: ServiceKey): void {
    const services = this.#wanted.get(address);
    services?.delete(service);
    if (services?.size !== 0) return;
    this.#wanted.delete(address);
    this.#waiting.delete(address);
  }

  #tell(address: string): void {
    const node = this.#listed?.nodes.get(address);
    if (node === undefined) return;
    for (const service of this.#wanted.get(address) ?? []) this.#options.onFound(service, address, node);
  }

  /** Lists until every IP was asked about. */
  async #keepListing(): Promise<void> {
    const { clock, signal, onChange } = this.#options;
    if (this.#isListing) return;
    this.#isListing = true;
    let pauseMs = firstPauseMs;
    const end = new AbortController();
    const waited = AbortSignal.any([signal, end.signal]);
    // By then some IPs have waited long enough, also when a list hangs.
    void clock.sleep(mostWaitMs, waited).then(() => waited.aborted || onChange());
    while (this.#waiting.size > 0 && !signal.aborted) {
      if (await this.#listOnce()) continue;
      await clock.sleep(pauseMs, signal);
      pauseMs = Math.min(2 * pauseMs, mostPauseMs);
      // Some IPs may have waited long enough.
      onChange();
    }
    end.abort();
    this.#isListing = false;
  }

  async #listOnce(): Promise<boolean> {
    const { list, clock, signal, questions, onChange } = this.#options;
    try {
      this.#listed = { nodes: await list(signal), atMs: clock.now() };
    } catch (error) {
      if (!signal.aborted) questions?.unanswered(question, unknown(error));
      return false;
    }
    questions?.answered(question);
    // Also those that came while it was being read: they are looked up in it, too.
    this.#waiting.clear();
    for (const address of this.#wanted.keys()) this.#tell(address);
    onChange();
    return true;
  }
}
