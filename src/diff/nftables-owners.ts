/** Finds the Services that own what a table of nftables mode holds. */
import { clientsOf, affinityPrefix } from '../backends/nftables/render-affinity';
import { keyInName, readRangesChain, setNames } from '../backends/nftables/names';
import { frontendKey } from '../backends/nftables/render-service';
import { sortedServices } from '../planner/describe';
import type { Plan } from '../planner/plan';

export class NftablesOwners {
  /** By key, and by the key as names of chains have it. */
  readonly #byKey = new Map<string, string>();
  readonly #byAddress = new Map<string, string>();
  /** By the start of the names of a service port's sets and chains. */
  readonly #byAffinity = new Map<string, string>();

  /** Of several Services that claim the same, the first one has it. */
  constructor(plan: Plan) {
    const note = (map: Map<string, string>, key: string, service: string): void => {
      if (!map.has(key)) map.set(key, service);
    };
    for (const { key: service, ports } of sortedServices(plan))
      for (const port of ports) {
        note(this.#byAffinity, baseOf(clientsOf(port).name), service);
        for (const frontend of port.frontends) {
          const key = frontendKey(frontend, port);
          note(this.#byKey, key, service);
          note(this.#byKey, keyInName(key), service);
          note(this.#byAddress, frontend.address, service);
        }
        for (const { address } of [...port.clusterEndpoints, ...port.localEndpoints])
          note(this.#byAddress, `${address} . ${address}`, service);
      }
  }

  /** @param texts of the frontend: its elements have the Service's name in their comments. */
  ofFrontend(key: string, ...texts: readonly (string | undefined)[]): string {
    if (key.startsWith('@')) return this.ofAffinity(key.slice(1));
    const owner = this.#byKey.get(key);
    if (owner !== undefined) return owner;
    const [, name = ''] = /^(?:to|refused|ranges) .* # (\S+)$/m.exec(texts.join('\n')) ?? [];
    return name.replace(/:.*/, '');
  }

  ofElement(set: string, key: string): string {
    if (set === setNames.nodePortIPs) return '';
    return set.startsWith(affinityPrefix) ? this.ofAffinity(set) : (this.#byAddress.get(key) ?? '');
  }

  /** Of a chain that is one Service's alone. '' for other chains, and if the Service is gone. */
  ofChain(chain: string): string {
    if (chain.startsWith(affinityPrefix)) return this.ofAffinity(chain);
    return this.#byKey.get(readRangesChain(chain) ?? '') ?? '';
  }

  ofAffinity(name: string): string {
    return this.#byAffinity.get(baseOf(name)) ?? '';
  }
}

/** `vipwire-affinity-5f0c2a91d47be836` */
function baseOf(name: string): string {
  const end = name.indexOf('-', affinityPrefix.length);
  return end < 0 ? name : name.slice(0, end);
}
