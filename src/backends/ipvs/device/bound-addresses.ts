/** Which addresses kube-ipvs0 should have: those that virtual servers want, but for external ones that a Node has. */
import type { DeltaTracker } from '../../../delta/delta-tracker';
import type { AddressJudgement } from '../../backend';
import type { VirtualServer } from '../render-service';
import type { SetContents } from '../sets/contents';

/** How many virtual servers want it. */
interface Wants {
  always: number;
  external: number;
}

type Wanting = Pick<VirtualServer, 'address' | 'isExternal'>;

export class BoundAddresses {
  private readonly wants = new Map<string, Wants>();
  /** Where nobody knows the Nodes, as in a dry run, every address is free. */
  private judge: (address: string) => AddressJudgement = () => 'free';

  /** KUBE-IPVS-IPS has what the device has. */
  constructor(
    private readonly addresses: DeltaTracker<string, 'bound'>,
    private readonly sets: SetContents,
  ) {}

  /** The trackers are cleared by their owner. */
  clear(): void {
    this.wants.clear();
  }

  add({ address, isExternal = false }: Wanting): void {
    if (address === undefined) return;
    const wants = this.wants.get(address) ?? { always: 0, external: 0 };
    wants[isExternal ? 'external' : 'always']++;
    this.wants.set(address, wants);
    this.settle(address);
  }

  /** Undoes one add. */
  remove({ address, isExternal = false }: Wanting): void {
    const wants = address === undefined ? undefined : this.wants.get(address);
    if (address === undefined || wants === undefined) return;
    wants[isExternal ? 'external' : 'always']--;
    if (wants.always + wants.external === 0) this.wants.delete(address);
    this.settle(address);
  }

  judgeAnew(judge: (address: string) => AddressJudgement): void {
    this.judge = judge;
    for (const [address, { external }] of this.wants) if (external > 0) this.settle(address);
  }

  private settle(address: string): void {
    const isWanted = this.isWanted(address);
    if (isWanted === (this.addresses.getDesired(address) !== undefined)) return;
    if (isWanted) {
      this.addresses.setDesired(address, 'bound');
      this.sets.add('KUBE-IPVS-IPS', address);
    } else {
      this.addresses.deleteDesired(address);
      this.sets.remove('KUBE-IPVS-IPS', address);
    }
  }

  private isWanted(address: string): boolean {
    const wants = this.wants.get(address);
    if (wants === undefined) return false;
    if (wants.always > 0) return true;
    const judgement = this.judge(address);
    if (judgement === 'unknown') return this.addresses.getObserved(address) !== undefined;
    return judgement === 'free';
  }
}
