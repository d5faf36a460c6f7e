/**
 * Chains that all frontends share which have as many slots and the same rules about sources. The addresses of their endpoints are elements
 * of a map:
 *
 *   vipwire-pick-3          dnat to ip daddr . meta l4proto . th dport . numgen random mod 3 map @vipwire-endpoints
 *   vipwire-others-pick-3   the same; sources other than this node's pods are masqueraded
 *   vipwire-all-pick-3      the same; all sources are masqueraded
 *   vipwire-local-3-2       pods of this node and the node itself reach 3 endpoints, all others the 2 on this node
 *   vipwire-pick-h251       a hash of the source picks one of 251 slots
 *   vipwire-pick-i3-10.96.0.10-tcp-80   in turn; the counter is this frontend's own, and so is the chain
 *
 * NodePorts answer on many addresses, so their maps have no address: `vipwire-np-pick-3` and so on.
 */
import type { Family } from '../../model/address';
import type { LocalDetector } from '../../model/local-detector';
import type { Masquerade } from '../../planner/plan';
import { keyInName, prefix, type SetName, setNames } from './names';
import type { Rule, Selector, Statement } from './objects';
import type { PickBy } from './slots';

export interface Balance {
  readonly by: PickBy;
  /** At least 1. */
  readonly slots: number;
}

interface AnyChain {
  readonly isNodePort: boolean;
  /** The key of the frontend whose own chain this is. */
  readonly owner?: string;
}

export interface PickChain extends AnyChain {
  readonly kind: 'pick';
  readonly masquerade: Masquerade;
  readonly balance: Balance;
}

/** externalTrafficPolicy Local, where this node's own clients reach every endpoint. */
export interface LocalChain extends AnyChain {
  readonly kind: 'local';
  /** Over the cluster's endpoints, by a PickChain. */
  readonly balance: Balance;
  /** Over the endpoints on this node. Absent: clients elsewhere are dropped, by the map of what is refused. */
  readonly localBalance?: Balance;
}

export type SharedChain = PickChain | LocalChain;

const masqueradeWords: Readonly<Record<Masquerade, string>> = {
  never: '',
  'not-local-pods': 'others-',
  always: 'all-',
};
const byLetters: Readonly<Record<PickBy, string>> = { random: '', inc: 'i', hash: 'h' };

/** A seed of our own, so that clients are spread in another way than by other hashes of their address. */
const hashSeed = 0x76697077;

export function sharedChainName(chain: SharedChain): string {
  const start = `${prefix}${chain.isNodePort ? 'np-' : ''}`;
  const end = chain.owner === undefined ? '' : `-${keyInName(chain.owner)}`;
  const balance = printBalance(chain.balance);
  return chain.kind === 'pick'
    ? `${start}${masqueradeWords[chain.masquerade]}pick-${balance}${end}`
    : `${start}local-${balance}-${printBalance(chain.localBalance)}${end}`;
}

function printBalance(balance: Balance | undefined): string {
  return balance === undefined ? '0' : `${byLetters[balance.by]}${balance.slots}`;
}

/** How a chain picks, by its name. */
export interface Balances {
  readonly main: Balance;
  readonly local?: Balance;
}

const namePattern = new RegExp(
  `^${prefix}(?:np-)?(?:(?:others-|all-)?pick-|local-)([ih]?)(\\d+)(?:-([ih]?)(\\d+))?(?:-|$)`,
);

/** Reads a name of sharedChainName back. Returns undefined for other chains. */
export function readBalances(chain: string): Balances | undefined {
  const [, by = '', slots, localBy = '', localSlots = '0'] = namePattern.exec(chain) ?? [];
  if (slots === undefined) return undefined;
  const main = { by: readBy(by), slots: Number(slots) };
  const isLocal = chain.includes('local-') && localSlots !== '0';
  return isLocal ? { main, local: { by: readBy(localBy), slots: Number(localSlots) } } : { main };
}

function readBy(letter: string): PickBy {
  return letter === 'h' ? 'hash' : letter === 'i' ? 'inc' : 'random';
}

/** A chain with the chain that it goes to for this node's own clients. */
export function withPicks(chain: SharedChain): readonly SharedChain[] {
  return chain.kind === 'pick' ? [chain] : [pickOf(chain), chain];
}

function pickOf({ isNodePort, balance, owner }: LocalChain): PickChain {
  return { kind: 'pick', masquerade: 'never', isNodePort, balance, ...(owner !== undefined && { owner }) };
}

/** What the rules depend on besides the chain. */
export interface ChainSettings {
  readonly family: Family;
  /** 1 << masqueradeBit. */
  readonly masqueradeMark: number;
  readonly localDetector: LocalDetector;
}

export function renderSharedChain(chain: SharedChain, settings: ChainSettings): readonly Rule[] {
  const mark: Statement = { kind: 'set-mark', mark: settings.masqueradeMark };
  const { isNodePort } = chain;
  if (chain.kind === 'pick') {
    const pick: Rule = {
      statements: [dnat(isNodePort, chain.balance, isNodePort ? setNames.nodePortEndpoints : setNames.endpoints)],
    };
    if (chain.masquerade === 'never') return [pick];
    const others = chain.masquerade === 'always' ? [] : matchLocalPods(settings.localDetector, false);
    return others === undefined ? [pick] : [{ statements: [...others, mark] }, pick];
  }
  const toCluster: Statement = { kind: 'goto', chain: sharedChainName(pickOf(chain)) };
  const pods = matchLocalPods(settings.localDetector, true);
  const isNode: Statement = { kind: 'is-local', side: 'source' };
  const localMap = isNodePort ? setNames.localNodePortEndpoints : setNames.localEndpoints;
  return [
    ...(pods === undefined ? [] : [{ statements: [...pods, toCluster] }]),
    { statements: [isNode, mark, toCluster] },
    ...(chain.localBalance === undefined ? [] : [{ statements: [dnat(isNodePort, chain.localBalance, localMap)] }]),
  ];
}

function dnat(isNodePort: boolean, { by, slots }: Balance, map: SetName): Statement {
  const key = [...(isNodePort ? nodePortKey : vipKey), slotSelector({ by, slots })];
  return { kind: 'dnat', key, map };
}

/** Picks one of the slots. */
export function slotSelector({ by, slots }: Balance): Selector {
  return by === 'hash'
    ? { kind: 'hash', modulus: slots, seed: hashSeed }
    : { kind: 'numgen', mode: by, modulus: slots };
}

export const nodePortKey: readonly Selector[] = [{ kind: 'protocol' }, { kind: 'port' }];
export const vipKey: readonly Selector[] = [{ kind: 'destination' }, ...nodePortKey];

/** Matches packets from this node's pods, or from all other sources. Returns undefined where nobody can tell them apart. */
export function matchLocalPods(detector: LocalDetector, isLocal: boolean): readonly Statement[] | undefined {
  const isNot = !isLocal;
  switch (detector.kind) {
    case 'none':
      return undefined;
    case 'cidr':
      return [{ kind: 'address', side: 'source', isNot, cidr: detector.cidr }];
    case 'interface':
      return [{ kind: 'interface', isNot, name: detector.name }];
    case 'interface-prefix':
      return [{ kind: 'interface', isNot, name: `${detector.prefix}*` }];
  }
}
