import type { ServiceKey } from '../model/cluster';

/**
 * Decides which Service owns a frontend that several Services claim, for example two with the same load-balancer IP. The smallest key
 * owns it, so that it does not matter which came first. The frontends have the names that a backend gives them.
 */
export class Claims {
  readonly #owners = new Map<string, ServiceKey>();
  /** The other claims. */
  readonly #rivals = new Map<string, Set<ServiceKey>>();

  clear(): void {
    this.#owners.clear();
    this.#rivals.clear();
  }

  ownerOf(frontend: string): ServiceKey | undefined {
    return this.#owners.get(frontend);
  }

  add(frontend: string, service: ServiceKey): void {
    const owner = this.#owners.get(frontend);
    if (owner === undefined || owner === service) {
      this.#owners.set(frontend, service);
      return;
    }
    this.#owners.set(frontend, service < owner ? service : owner);
    const rivals = this.#rivals.get(frontend) ?? new Set();
    this.#rivals.set(frontend, rivals.add(service < owner ? owner : service));
  }

  remove(frontend: string, service: ServiceKey): void {
    const rivals = this.#rivals.get(frontend);
    if (this.#owners.get(frontend) !== service) {
      rivals?.delete(service);
    } else if (rivals === undefined) {
      this.#owners.delete(frontend);
    } else {
      const next = [...rivals].reduce((least, rival) => (rival < least ? rival : least));
      this.#owners.set(frontend, next);
      rivals.delete(next);
    }
    if (rivals?.size === 0) this.#rivals.delete(frontend);
  }
}
