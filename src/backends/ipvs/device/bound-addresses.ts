/** The addresses that kube-ipvs0 should have: those that virtual servers need, except external ones that belong to a Node. */
import type { DeltaTracker } from '../../../delta/delta-tracker';
import type { AddressJudgement } from '../../backend';
import type { VirtualServer } from '../render-service';
import type { SetContents } from '../sets/contents';

/** How many virtual servers need the address. `external` counts those that need it only if it belongs to no Node. */
interface Wants {
  always: number;
  external: number;
}

type Wanting = Pick<VirtualServer, 'address' | 'isExternal'>;

export class BoundAddresses {
  readonly #wants = new Map<string, Wants>();
  /** When the Nodes are unknown, as in a dry run, every address is free. */
  #judge: (address: string) => AddressJudgement = () => 'free';
  readonly #addresses: DeltaTracker<string, 'bound'>;
  readonly #sets: SetContents;

  /** Keeps KUBE-IPVS-IPS of `sets` equal to `addresses`, the addresses of the device. */
  constructor(addresses: DeltaTracker<string, 'bound'>, sets: SetContents) {
    this.#addresses = addresses;
    this.#sets = sets;
  }

  /** Forgets all needs. The trackers are cleared by their owner. */
  clear(): void {
    this.#wants.clear();
  }

  add({ address, isExternal = false }: Wanting): void {
    if (address === undefined) return;
    const wants = this.#wants.get(address) ?? { always: 0, external: 0 };
    wants[isExternal ? 'external' : 'always']++;
    this.#wants.set(address, wants);
    this.#settle(address);
  }

  /** Undoes one add. */
  remove({ address, isExternal = false }: Wanting): void {
    const wants = address === undefined ? undefined : this.#wants.get(address);
    if (address === undefined || wants === undefined) return;
    wants[isExternal ? 'external' : 'always']--;
    if (wants.always + wants.external === 0) this.#wants.delete(address);
    this.#settle(address);
  }

  judgeAnew(judge: (address: string) => AddressJudgement): void {
    this.#judge = judge;
    for (const [address, { external }] of this.#wants) if (external > 0) this.#settle(address);
  }

  #settle(address: string): void {
    const isWanted = this.#isWanted(address);
    if (isWanted === (this.#addresses.getDesired(address) !== undefined)) return;
    if (isWanted) {
      this.#addresses.setDesired(address, 'bound');
      this.#sets.add('KUBE-IPVS-IPS', address);
    } else {
      this.#addresses.deleteDesired(address);
      this.#sets.remove('KUBE-IPVS-IPS', address);
    }
  }

  #isWanted(address: string): boolean {
    const wants = this.#wants.get(address);
    if (wants === undefined) return false;
    if (wants.always > 0) return true;
    const judgement = this.#judge(address);
    if (judgement === 'unknown') return this.#addresses.getObserved(address) !== undefined;
    return judgement === 'free';
  }
}
