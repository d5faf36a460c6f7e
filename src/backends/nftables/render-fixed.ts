/** Chains that do not depend on Services: the hooks, and what they look up. */
import { type Family, isLoopback, parseCidr } from '../../model/address';
import type { NodeSettings } from '../../planner/plan';
import { baseChains, refuseChain, setNames } from './names';
import type { BaseChainHook, ChainObject, Rule, Statement } from './objects';
import type { NftablesSettings } from './settings';
import { nodePortKey, vipKey } from './shared-chains';

const loopback: Readonly<Record<Family, string>> = { IPv4: '127.0.0.0/8', IPv6: '::1/128' };

/**
 * The nat chains have a priority one lower than kube-proxy's: of two chains at the same priority the one that was made last gets the
 * packet first on output, and so a table of a CNI for host ports would decide by chance.
 */
const hooks: Readonly<Record<keyof typeof baseChains, BaseChainHook>> = {
  preroutingFilter: { type: 'filter', hook: 'prerouting', priority: -110 },
  outputPreDnatFilter: { type: 'filter', hook: 'output', priority: -110 },
  inputFilter: { type: 'filter', hook: 'input', priority: 0 },
  forwardFilter: { type: 'filter', hook: 'forward', priority: 0 },
  outputFilter: { type: 'filter', hook: 'output', priority: 0 },
  preroutingNat: { type: 'nat', hook: 'prerouting', priority: -101 },
  outputNat: { type: 'nat', hook: 'output', priority: -101 },
  postroutingNat: { type: 'nat', hook: 'postrouting', priority: 100 },
};

/** The node's part of what the fixed chains depend on. */
export type FixedScope = Pick<NodeSettings, 'nodePortAddresses' | 'localhostNodePorts' | 'serviceCIDRs'>;

const isNew: Statement = { kind: 'ct-state-new' };

/** Every chain that is there whatever the Services are. */
export function renderFixedChains(
  family: Family,
  scope: FixedScope,
  settings: NftablesSettings,
): readonly ChainObject[] {
  const rules: Readonly<Record<keyof typeof baseChains, readonly Rule[]>> = {
    preroutingFilter: [checkRanges],
    outputPreDnatFilter: [checkRanges],
    inputFilter: [...refuse(family, scope), ...guardLoopback(family, scope)],
    forwardFilter: [refuseVips, ...refuseUnused(family, scope)],
    outputFilter: [refuseVips, ...refuseUnused(family, scope)],
    preroutingNat: dispatch(family, scope),
    outputNat: dispatch(family, scope),
    postroutingNat: masquerade(settings),
  };
  const keys = Object.keys(hooks) as (keyof typeof hooks)[];
  return [
    { name: refuseChain, rules: [{ statements: [{ kind: 'reject' }] }] },
    ...keys.map((key): ChainObject => ({ name: baseChains[key], base: hooks[key], rules: rules[key] })),
  ];
}

/** Elements of the set of addresses on which NodePorts answer. */
export function nodePortIPs(family: Family, { nodePortAddresses, localhostNodePorts }: FixedScope): readonly string[] {
  const answering = nodePortAddresses[family];
  if (answering.kind === 'all') return [];
  const takesLoopback = family === 'IPv4' && localhostNodePorts;
  return answering.addresses.filter((address) => takesLoopback || !isLoopback(address));
}

const checkRanges: Rule = { statements: [isNew, { kind: 'vmap', key: vipKey, map: setNames.restrictedVips }] };
const refuseVips: Rule = { statements: [isNew, { kind: 'vmap', key: vipKey, map: setNames.refusedVips }] };

/** Packets to this node itself: NodePorts on other than the answering addresses belong to whoever listens there. */
function refuse(family: Family, scope: FixedScope): readonly Rule[] {
  const toNodePorts: Statement = { kind: 'vmap', key: nodePortKey, map: setNames.refusedNodePorts };
  return [{ statements: [isNew, ...matchNodePortAddress(family, scope), toNodePorts] }, refuseVips];
}

/** NodePorts on localhost need route_localnet, with which other hosts could reach what listens on this node's localhost. */
function guardLoopback(family: Family, { localhostNodePorts }: FixedScope): readonly Rule[] {
  if (family !== 'IPv4' || !localhostNodePorts) return [];
  const net = { kind: 'address', cidr: loopback.IPv4 } as const;
  return [
    { statements: [{ kind: 'ct-state-old' }, { kind: 'return' }] },
    { statements: [{ kind: 'ct-status-dnat' }, { kind: 'return' }] },
    {
      statements: [
        { ...net, side: 'source', isNot: true },
        { ...net, side: 'destination', isNot: false },
        { kind: 'drop' },
      ],
    },
  ];
}

/** What went to a ClusterIP and to no port of it, or to the service range and to no Service at all. */
function refuseUnused(family: Family, { serviceCIDRs = [] }: FixedScope): readonly Rule[] {
  const isClusterIP: Statement = { kind: 'in-set', key: [{ kind: 'destination' }], set: setNames.clusterIPs };
  return [
    { statements: [isNew, isClusterIP, { kind: 'reject' }] },
    ...serviceCIDRs
      .filter((cidr) => parseCidr(cidr)?.family === family)
      .map(
        (cidr): Rule => ({
          statements: [isNew, { kind: 'address', side: 'destination', isNot: false, cidr }, { kind: 'drop' }],
        }),
      ),
  ];
}

function dispatch(family: Family, scope: FixedScope): readonly Rule[] {
  return [
    { statements: [{ kind: 'vmap', key: vipKey, map: setNames.vips }] },
    {
      statements: [
        ...(scope.nodePortAddresses[family].kind === 'all' ? [{ kind: 'is-local', side: 'destination' } as const] : []),
        ...matchNodePortAddress(family, scope),
        { kind: 'vmap', key: nodePortKey, map: setNames.nodePorts },
      ],
    },
  ];
}

function matchNodePortAddress(family: Family, scope: FixedScope): readonly Statement[] {
  if (scope.nodePortAddresses[family].kind === 'some')
    return [{ kind: 'in-set', key: [{ kind: 'destination' }], set: setNames.nodePortIPs }];
  if (family === 'IPv4' && scope.localhostNodePorts) return [];
  return [{ kind: 'address', side: 'destination', isNot: true, cidr: loopback[family] }];
}

function masquerade({ masqueradeMark: mark }: NftablesSettings): readonly Rule[] {
  return [
    { statements: [{ kind: 'has-mark', mark }, { kind: 'flip-mark', mark }, { kind: 'masquerade' }] },
    {
      statements: [
        { kind: 'ct-status-dnat' },
        { kind: 'in-set', key: [{ kind: 'source' }, { kind: 'destination' }], set: setNames.hairpin },
        { kind: 'masquerade' },
      ],
    },
  ];
}
