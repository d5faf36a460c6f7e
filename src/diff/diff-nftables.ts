/**
 * Compares a table of nftables mode, frontend by frontend and chain by chain. Edits by somebody else show where parts do not fit together
 * that are written in one transaction: a chain picks a number that the map does not have, or one frontend of a Service has other endpoints
 * than those that are as they should be.
 */
import { NftablesBackend } from '../backends/nftables/backend';
import type { DesiredState } from '../backends/nftables/desired-state';
import { parseFrontend } from '../backends/nftables/frontend-text';
import { fixedChains, prefix, setNames, readRangesChain } from '../backends/nftables/names';
import { affinityPrefix } from '../backends/nftables/render-affinity';
import type { NftablesSettings } from '../backends/nftables/settings';
import { readBalances } from '../backends/nftables/shared-chains';
import { UserError } from '../model/user-error';
import type { Plan } from '../planner/plan';
import { parseNftTable } from '../trace/nft-ruleset';
import { joinPlaces, type KernelDiff, type PlaceDiff } from './kernel-diff';
import { diffLines, type Line } from './line-diff';
import { jsonKernel } from './nft-json-kernel';
import { NftablesOwners } from './nftables-owners';
import { suspectFrontend } from './suspect-frontend';

/**
 * @param text what `nft -j list ruleset` printed, or for the table alone.
 * Throws UserError if kube-proxy wrote the table, and if the text is not nft's.
 */
export async function diffNftables(
  plan: Plan,
  text: string,
  settings: NftablesSettings,
  nodeName: string,
): Promise<KernelDiff> {
  const { family, services } = plan;
  const table = parseNftTable(text, family === 'IPv4' ? 'ip' : 'ip6', 'kube-proxy');
  const names = [...(table?.sets.keys() ?? [])];
  if (names.length > 0 && !names.some((name) => name.startsWith(prefix)))
    throw new UserError(
      `kube-proxy wrote these rules (${family}), in its own layout: use vipwire compare to see what they do`,
    );
  const backend = new NftablesBackend(family, settings, jsonKernel(table, family));
  await backend.read();
  backend.render(plan);
  const places = new TableDiff(backend.state, new NftablesOwners(plan)).places();
  return { family, mode: 'nftables', nodeName, services: services.size, unread: [], differences: joinPlaces(places) };
}

class TableDiff {
  readonly #state: DesiredState;
  readonly #owners: NftablesOwners;
  /** The Services of which a frontend differs. */
  readonly #differing = new Set<string>();

  constructor(state: DesiredState, owners: NftablesOwners) {
    this.#state = state;
    this.#owners = owners;
  }

  places(): PlaceDiff[] {
    return [...this.#frontends(), ...this.#elements(), ...this.#chains(), ...this.#sets()];
  }

  #frontends(): PlaceDiff[] {
    const { frontends } = this.#state;
    const { updates, deletions } = frontends.pending();
    const right = new Map<string, string>();
    for (const [key, text] of frontends.desiredEntries())
      if (frontends.getObserved(key) === text) right.set(this.#listName(key, text), key);
    return [...updates.keys(), ...deletions].map((key) => {
      const [seen, wanted] = [frontends.getObserved(key), updates.get(key)];
      const service = this.#owners.ofFrontend(key, wanted, seen);
      this.#differing.add(service);
      const place = key.startsWith('@') ? `map ${key.slice(1)}` : `frontend ${key}`;
      const sibling = wanted === undefined ? undefined : right.get(this.#listName(key, wanted));
      const foreign = suspectFrontend(key, { seen, wanted, sibling });
      return placeOf(service, place, diffLines(linesOf(seen), linesOf(wanted)), foreign);
    });
  }

  /** What the frontends of a Service with the same endpoints have in common. */
  #listName(key: string, text: string): string {
    return [this.#owners.ofFrontend(key, text), ...parseFrontend(text).lists.main].join(' ');
  }

  #elements(): PlaceDiff[] {
    const { elements } = this.#state;
    const { updates, deletions } = elements.pending();
    return [...updates.keys(), ...deletions].map((name) => {
      const [seen, wanted] = [elements.getObserved(name), updates.get(name)];
      const [set = '', ...rest] = name.split(' ');
      const key = rest.join(' ');
      const service = this.#owners.ofElement(set, key);
      const foreign = this.#suspectElement({ set, key, service }, seen === undefined);
      const print = (value: string): string => (value === '' ? key : `${key} : ${value}`);
      const lines = diffLines(seen === undefined ? [] : [print(seen)], wanted === undefined ? [] : [print(wanted)]);
      return placeOf(service, `set ${set}`, lines, foreign);
    });
  }

  #suspectElement({ set, key, service }: OwnedElement, isMissing: boolean): string | undefined {
    if (set === setNames.nodePortIPs)
      return `${set} does not depend on Services: it was edited, or written with other settings`;
    if (service === '' || this.#differing.has(service) || this.#state.sets.getObserved(set) === undefined)
      return undefined;
    const what = isMissing ? `was removed from ${set}` : `in ${set} was added or changed`;
    return `${key} ${what}: all frontends of the Service are as they should be`;
  }

  #chains(): PlaceDiff[] {
    const { chains } = this.#state;
    const { updates, deletions } = chains.pending();
    const used = this.#usedChains();
    return [...updates.keys(), ...deletions].flatMap((chain) => {
      const [seen, wanted] = [chains.getObserved(chain), updates.get(chain)];
      // A frontend that leads to it differs, too, and is shown.
      const isShown = isShared(chain) && (seen === undefined || (wanted === undefined && used.has(chain)));
      if (isShown) return [];
      const lines = diffLines(linesOf(seen), linesOf(wanted));
      return [placeOf(this.#owners.ofChain(chain), `chain ${chain}`, lines, suspectChain(chain, seen, wanted))];
    });
  }

  /** The chains that frontends in the kernel lead to, and those that these go to. */
  #usedChains(): ReadonlySet<string> {
    const used = new Set<string>();
    const { frontends, chains } = this.#state;
    for (const [, text] of frontends.observedEntries()) {
      const [, chain] = /^to goto (\S+)/m.exec(text) ?? [];
      if (chain === undefined || used.has(chain)) continue;
      used.add(chain);
      for (const [, next = ''] of (chains.getObserved(chain) ?? '').matchAll(/\bgoto (\S+)/g)) used.add(next);
    }
    return used;
  }

  #sets(): PlaceDiff[] {
    const { sets } = this.#state;
    const { updates, deletions } = sets.pending();
    return [...updates.keys(), ...deletions].map((set) => {
      const [seen, wanted] = [sets.getObserved(set), updates.get(set)];
      const lines = diffLines(linesOf(seen), linesOf(wanted));
      return placeOf(this.#owners.ofAffinity(set), `set ${set}`, lines, suspectSet(set, seen, wanted));
    });
  }
}

interface OwnedElement {
  readonly set: string;
  readonly key: string;
  readonly service: string;
}

function placeOf(service: string, place: string, lines: readonly Line[], foreign: string | undefined): PlaceDiff {
  return { service, hunk: { place, lines }, foreign: foreign === undefined ? undefined : [foreign] };
}

function linesOf(text: string | undefined): string[] {
  return text === undefined || text === '' ? [] : text.split('\n');
}

/** Frontends of several Services may lead to it. */
function isShared(chain: string): boolean {
  return readBalances(chain) !== undefined;
}

function suspectChain(chain: string, seen: string | undefined, wanted: string | undefined): string | undefined {
  if (fixedChains.has(chain))
    return seen === undefined
      ? undefined
      : `${chain} does not depend on Services: it was edited, or written with other settings`;
  if (!chain.startsWith(prefix)) return `${chain} was added: vipwire has no such chain`;
  if (readRangesChain(chain) !== undefined && seen !== undefined && wanted !== undefined)
    return `${chain} has other rules than its name stands for: it was edited`;
  if (isShared(chain) && seen !== undefined && wanted !== undefined)
    return `${chain} does not depend on the Services that lead to it: it was edited, or written with other settings`;
  return undefined;
}

function suspectSet(set: string, seen: string | undefined, wanted: string | undefined): string | undefined {
  if (!set.startsWith(prefix)) return `${set} was added: vipwire has no such set`;
  const isOfService = set.startsWith(affinityPrefix);
  if (seen === undefined || wanted === undefined || isOfService) return undefined;
  return `${set} has another type: another version of vipwire made it, or somebody else`;
}
