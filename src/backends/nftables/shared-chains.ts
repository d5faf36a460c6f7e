/**
 * Chains that all service ports share which have as many endpoints and the same rules about sources. What is theirs alone, the addresses of
 * their endpoints, are elements of a map:
 *
 *   vipwire-pick-3          dnat to ip daddr . meta l4proto . th dport . numgen random mod 3 map @vipwire-endpoints
 *   vipwire-others-pick-3   the same; sources other than this node's pods are masqueraded
 *   vipwire-all-pick-3      the same; all are masqueraded
 *   vipwire-local-3-2       pods of this node and the node itself reach 3 endpoints, all others the 2 on this node
 *
 * NodePorts answer on many addresses, so their maps have no address: `vipwire-np-pick-3` and so on.
 */
import type { Family } from '../../model/address';
import type { LocalDetector } from '../../model/local-detector';
import type { Masquerade } from '../../planner/plan';
import { setNames } from './names';
import type { Rule, Selector, Statement } from './objects';

export interface PickChain {
  readonly kind: 'pick';
  readonly isNodePort: boolean;
  readonly masquerade: Masquerade;
  /** At least 1. */
  readonly endpoints: number;
}

/** externalTrafficPolicy Local, where this node's own clients reach every endpoint. */
export interface LocalChain {
  readonly kind: 'local';
  readonly isNodePort: boolean;
  /** Of the cluster, at least 1; the endpoints are those of a PickChain. */
  readonly endpoints: number;
  /** On this node. 0: clients elsewhere are dropped, by the map of what is refused. */
  readonly localEndpoints: number;
}

export type SharedChain = PickChain | LocalChain;

const masqueradeWords: Readonly<Record<Masquerade, string>> = {
  never: '',
  'not-local-pods': 'others-',
  always: 'all-',
};

export function sharedChainName(chain: SharedChain): string {
  const start = `vipwire-${chain.isNodePort ? 'np-' : ''}`;
  return chain.kind === 'pick'
    ? `${start}${masqueradeWords[chain.masquerade]}pick-${chain.endpoints}`
    : `${start}local-${chain.endpoints}-${chain.localEndpoints}`;
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
  if (chain.kind === 'pick') {
    const pick: Rule = { statements: [dnat(chain)] };
    if (chain.masquerade === 'never') return [pick];
    const others = chain.masquerade === 'always' ? [] : matchLocalPods(settings.localDetector, false);
    return others === undefined ? [pick] : [{ statements: [...others, mark] }, pick];
  }
  const { isNodePort, endpoints, localEndpoints } = chain;
  const toCluster: Statement = {
    kind: 'goto',
    chain: sharedChainName({ kind: 'pick', isNodePort, masquerade: 'never', endpoints }),
  };
  const pods = matchLocalPods(settings.localDetector, true);
  const isNode: Statement = { kind: 'is-local', side: 'source' };
  return [
    ...(pods === undefined ? [] : [{ statements: [...pods, toCluster] }]),
    { statements: [isNode, mark, toCluster] },
    ...(localEndpoints === 0 ? [] : [{ statements: [dnat(chain)] }]),
  ];
}

function dnat(chain: SharedChain): Statement {
  const { isNodePort } = chain;
  const modulus = chain.kind === 'pick' ? chain.endpoints : chain.localEndpoints;
  const map =
    chain.kind === 'pick'
      ? isNodePort
        ? setNames.nodePortEndpoints
        : setNames.endpoints
      : isNodePort
        ? setNames.localNodePortEndpoints
        : setNames.localEndpoints;
  const index: Selector = { kind: 'numgen', mode: 'random', modulus };
  return { kind: 'dnat', key: [...(isNodePort ? nodePortKey : vipKey), index], map };
}

const vipKey: readonly Selector[] = [{ kind: 'destination' }, { kind: 'protocol' }, { kind: 'port' }];
const nodePortKey: readonly Selector[] = [{ kind: 'protocol' }, { kind: 'port' }];

/** Matches packets from this node's pods, or from all other sources. Returns undefined where nobody can tell them apart. */
function matchLocalPods(detector: LocalDetector, isLocal: boolean): readonly Statement[] | undefined {
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
