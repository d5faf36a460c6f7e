/** What every mode has to show on a kernel, and where each can. */
import type { ProxyMode } from '../../src/model/proxy-mode';

export const modeCases = {
  again: 'a fresh process that reads the kernel has nothing to write',
  differing: 'rendering the changes, rendering anew and rendering twice give the same',
  harmed: 'after each step the frontends of Services that do not change are as wanted',
  wrong: 'after each step every frontend is as it was before the batch, or as it is to be',
  left: 'cleanup leaves nothing of ours, and all that is of others',
  steps: 'a large batch is several steps',
} as const;

export type ModeCase = keyof typeof modeCases;

export interface ModeRun {
  readonly mode: ProxyMode;
  readonly variant: 'nft' | 'legacy';
  /** The seed, the changes of the largest round, and how many plain Services come last, where they are not the usual ones. */
  readonly args?: readonly string[];
  /** Cases that it cannot show, with the reason. */
  readonly cannot?: Partial<Record<ModeCase, string>>;
}

/** Every mode of the record has its runs. `guest`: on a kernel of scripts/guest, which has IPVS. */
export const modeRuns: Readonly<
  Record<ProxyMode, { readonly kernel: 'host' | 'guest'; readonly runs: readonly ModeRun[] }>
> = {
  iptables: {
    kernel: 'host',
    runs: [
      { mode: 'iptables', variant: 'nft' },
      {
        mode: 'iptables',
        variant: 'legacy',
        cannot: { steps: 'each call of the tool rewrites the whole table, so that one call has all' },
      },
    ],
  },
  ipvs: {
    kernel: 'guest',
    runs: [
      {
        mode: 'ipvs',
        variant: 'legacy',
        cannot: { differing: 'a port keeps its mark, so that marks depend on which port came first' },
      },
    ],
  },
  // The variant is that of the rules of others.
  nftables: { kernel: 'host', runs: [{ mode: 'nftables', variant: 'nft', args: ['1', '20', '50'] }] },
};

/** What the guest program tells. */
export interface ModeReport {
  /** What a fresh process would write after each round, by family and round. */
  readonly again: readonly string[];
  /** Rounds after which two ways to the same Plan differ. */
  readonly differing: readonly string[];
  /** Frontends of unchanged Services that were not as wanted, with the step. */
  readonly harmed: readonly string[];
  /** Frontends that were neither as before nor as wanted, with the step. */
  readonly wrong: readonly string[];
  /** What cleanup left of ours, and what it took of others. */
  readonly left: readonly string[];
  /** Of the largest batch. */
  readonly steps: number;
}
