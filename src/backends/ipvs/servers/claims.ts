import type { ServiceKey } from '../../../model/cluster';

/**
 * Decides which Service owns a virtual server that several Services claim, for example two with the same load-balancer IP. The smallest
 * key owns it, so that it does not matter which came first.
 */
export class Claims {
  readonly #owners = new Map<string, ServiceKey>();
  /** The other claims. */
  readonly #rivals = new Map<string, Set<ServiceKey>>();

  clear(): void {
    this.#owners.clear();
    this.#rivals.clear();
  }

  ownerOf(server: string): ServiceKey | undefined {
    return this.#owners.get(server);
  }

  add(server: string, service: ServiceKey): void {
    const owner = this.#owners.get(server);
    if (owner === undefined || owner === service) {
      this.#owners.set(server, service);
      return;
    }
    this.#owners.set(server, service < owner ? service : owner);
    const rivals = this.#rivals.get(server) ?? new Set();
    this.#rivals.set(server, rivals.add(service < owner ? owner : service));
  }

  remove(server: string, service: ServiceKey): void {
    const rivals = this.#rivals.get(server);
    if (this.#owners.get(server) !== service) {
      rivals?.delete(service);
    } else if (rivals === undefined) {
      this.#owners.delete(server);
    } else {
      const next = [...rivals].reduce((least, rival) => (rival < least ? rival : least));
      this.#owners.set(server, next);
      rivals.delete(next);
    }
    if (rivals?.size === 0) this.#rivals.delete(server);
  }
}
