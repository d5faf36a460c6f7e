/** Opens a machine for nftables mode. It works by netlink alone; tools of iptables are only used to remove what is left there. */
import { NftablesBackend } from '../backends/nftables/backend';
import type { NftKernel } from '../backends/nftables/objects';
import type { DeltaTracker } from '../delta/delta-tracker';
import { askIPv6 } from '../host/interfaces';
import type { Family } from '../model/address';
import { absent, type Answer, found, type Unknown } from '../model/answer';
import { UserError } from '../model/user-error';
import { variants } from '../xtables/variant';
import type { DriftWatch } from './drift';
import { leftTables } from './leave-tables';
import { masqueradeMarkOf } from './masquerade-mark';
import { isHopeless, openNftKernel } from './nft-kernel';
import { openDrift } from './open-drift';
import type { MachineOptions, OpenedMode, SharedParts } from './open-machine';
import { askAll } from './told-tables';

export async function openOnNfTables(options: MachineOptions, { run, opened }: SharedParts): Promise<OpenedMode> {
  const { configuration, countPackets, clock, log } = options;
  countPackets(undefined);
  const looks = new Map<Family, () => Promise<Answer<true>>>();
  const signs = {
    hasGeneration: true,
    lookForFlush: () => askAll([...looks.values()]),
    flushQuestion: 'whether something in the table kube-proxy was flushed',
  };
  const drift = await openDrift(signs, options, opened);
  return {
    drift,
    openFamily: async (family) => {
      const supported = family === 'IPv6' ? await askIPv6() : found(true as const);
      if (supported.kind === 'absent') log.warn({ family }, 'this machine does not have the family: it is not served');
      if (supported.kind !== 'found') return supported;
      // Before anything of another mode is touched.
      const opening = await openNftKernel(family, run, clock);
      if (opening.kind !== 'found') return opening;
      const kernel = opening.value;
      opened.push(kernel);
      const settings = { masqueradeMark: masqueradeMarkOf(configuration) };
      const backend = new NftablesBackend(family, settings, watchedKernel(drift, kernel));
      looks.set(family, () => lookForFlush(backend, kernel));
      return found({ backend });
    },
    requireSomeFamily,
    leftovers: ({ families }) =>
      variants.flatMap((variant) =>
        families.map((family) => leftTables(variant, family, `the ${variant} variant of iptables`, log)),
      ),
  };
}

/** Throws UserError where asking again would not help in any family, because parts of the kernel or rights are missing. */
function requireSomeFamily(answers: ReadonlyMap<Family, Answer<unknown>>): void {
  const all = [...answers.values()];
  const reasons = all.filter((it): it is Unknown => it.kind === 'unknown').map(({ reason }) => reason);
  if (all.some(({ kind }) => kind === 'found') || !reasons.every(isHopeless)) return;
  throw new UserError(`nftables cannot be used here (root, or CAP_NET_ADMIN, is needed): ${reasons[0] ?? ''}`);
}

/** The same kernel. `drift` learns of every read and write through it. */
function watchedKernel(drift: DriftWatch, kernel: NftKernel): NftKernel {
  return {
    canRead: kernel.canRead,
    read: (reader) => drift.ownRead(() => kernel.read(reader)),
    readObjects: () => kernel.readObjects(),
    write: (writes) => drift.ownWrite(1, () => kernel.write(writes)),
    close: () => kernel.close(),
  };
}

/** Whether chains and sets are as they were last seen or written. Whoever flushes a set is found by the next full read. */
async function lookForFlush({ state }: NftablesBackend, kernel: NftKernel): Promise<Answer<true>> {
  const there = await kernel.readObjects();
  return hasAll(state.chains, there?.chains) && hasAll(state.sets, there?.sets) ? found(true) : absent;
}

function hasAll(seen: DeltaTracker<string, string>, there: ReadonlyMap<string, string> | undefined): boolean {
  return [...seen.observedEntries()].every(([name, text]) => there?.get(name) === text);
}
