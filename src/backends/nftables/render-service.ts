/** What one Service is in the table: elements of maps and sets, the shared chains that they lead to, and chains of its own for ranges. */
import { hostCidr } from '../../model/address';
import { protocolName } from '../../model/protocol';
import {
  type Frontend,
  type PlanEndpoint,
  type ServicePlan,
  type ServicePortPlan,
  servicePortName,
} from '../../planner/plan';
import { rangesChain, refuseChain, type SetName, setNames } from './names';
import type { Rule } from './objects';
import { type SharedChain, sharedChainName } from './shared-chains';

export interface RenderedElement {
  readonly set: SetName;
  readonly key: string;
  /** '' in a set. */
  readonly value: string;
  /** Of what decides about a frontend: `default/web:http`. */
  readonly comment?: string;
}

export interface RenderedService {
  readonly elements: readonly RenderedElement[];
  readonly sharedChains: readonly SharedChain[];
  readonly ownChains: ReadonlyMap<string, readonly Rule[]>;
}

export function renderService(service: ServicePlan): RenderedService {
  const to = new ServiceElements();
  for (const port of service.ports) to.addPort(port);
  return to;
}

class ServiceElements implements RenderedService {
  readonly elements: RenderedElement[] = [];
  readonly sharedChains: SharedChain[] = [];
  readonly ownChains = new Map<string, readonly Rule[]>();

  addPort(port: ServicePortPlan): void {
    for (const frontend of port.frontends) this.#addFrontend(port, frontend);
    for (const { address, port: at, isLocal } of port.clusterEndpoints)
      if (isLocal)
        this.#add({
          set: setNames.hairpin,
          key: `${address} . ${address} . ${protocolName(port.protocol)} . ${at}`,
          value: '',
        });
  }

  #addFrontend(port: ServicePortPlan, frontend: Frontend): void {
    const { kind, address, verdict } = frontend;
    const isNodePort = kind === 'NodePort';
    const end = `${protocolName(port.protocol)} . ${frontend.port}`;
    const key = isNodePort ? end : `${address} . ${end}`;
    const comment = servicePortName(port);
    if (kind === 'ClusterIP') this.#add({ set: setNames.clusterIPs, key: address, value: '' });
    if (frontend.sourceRanges !== undefined) this.#addRanges(key, frontend, comment);
    const chain = chainOf(port, frontend);
    if (chain !== undefined) {
      this.sharedChains.push(...withPicks(chain));
      const set = isNodePort ? setNames.nodePorts : setNames.vips;
      this.#add({ set, key, value: `goto ${sharedChainName(chain)}`, comment });
      this.#addEndpoints(
        key,
        isNodePort ? setNames.nodePortEndpoints : setNames.endpoints,
        listOf(port, chain, verdict),
      );
      if (chain.kind === 'local')
        this.#addEndpoints(
          key,
          isNodePort ? setNames.localNodePortEndpoints : setNames.localEndpoints,
          verdict.kind === 'forward' ? weighty(port.localEndpoints) : [],
        );
    }
    if (verdict.kind === 'forward') return;
    const set = isNodePort ? setNames.refusedNodePorts : setNames.refusedVips;
    this.#add({ set, key, value: verdict.kind === 'drop' ? 'drop' : `goto ${refuseChain}`, comment });
  }

  #addEndpoints(key: string, set: SetName, endpoints: readonly PlanEndpoint[]): void {
    for (const [i, { address, port }] of endpoints.entries())
      this.#add({ set, key: `${key} . ${i}`, value: `${address} . ${port}` });
  }

  /** Sources outside of the ranges are dropped before anything is translated. */
  #addRanges(key: string, { address, sourceRanges = [], sourceRangesHaveNode }: Frontend, comment: string): void {
    const chain = rangesChain(key.replaceAll(' . ', '-').replaceAll(':', '.'));
    const ranges = [...sourceRanges, ...(sourceRangesHaveNode === true ? [hostCidr(address)] : [])];
    this.ownChains.set(chain, [
      ...ranges.map(
        (cidr): Rule => ({ statements: [{ kind: 'address', side: 'source', isNot: false, cidr }, { kind: 'return' }] }),
      ),
      { statements: [{ kind: 'drop' }] },
    ]);
    this.#add({ set: setNames.restrictedVips, key, value: `goto ${chain}`, comment });
  }

  #add(element: RenderedElement): void {
    this.elements.push(element);
  }
}

/** Those without weight get nothing new. */
function weighty(endpoints: readonly PlanEndpoint[]): readonly PlanEndpoint[] {
  return endpoints.filter(({ weight }) => weight !== 0);
}

/** Returns undefined where nobody reaches an endpoint. */
function chainOf(port: ServicePortPlan, frontend: Frontend): SharedChain | undefined {
  const { verdict, masquerade, localSourcesToCluster } = frontend;
  const isNodePort = frontend.kind === 'NodePort';
  const [cluster, local] = [weighty(port.clusterEndpoints).length, weighty(port.localEndpoints).length];
  if (localSourcesToCluster && cluster > 0)
    return { kind: 'local', isNodePort, endpoints: cluster, localEndpoints: verdict.kind === 'forward' ? local : 0 };
  if (verdict.kind !== 'forward') return undefined;
  const endpoints = verdict.endpoints === 'cluster' ? cluster : local;
  return endpoints === 0 ? undefined : { kind: 'pick', isNodePort, masquerade, endpoints };
}

/** The endpoints in the map that a chain picks from first. */
function listOf(port: ServicePortPlan, chain: SharedChain, verdict: Frontend['verdict']): readonly PlanEndpoint[] {
  const isLocalOnly = chain.kind === 'pick' && verdict.kind === 'forward' && verdict.endpoints === 'local';
  return weighty(isLocalOnly ? port.localEndpoints : port.clusterEndpoints);
}

/** With the chain that it goes to for this node's own clients. */
function withPicks(chain: SharedChain): SharedChain[] {
  if (chain.kind === 'pick') return [chain];
  const { isNodePort, endpoints } = chain;
  return [{ kind: 'pick', isNodePort, masquerade: 'never', endpoints }, chain];
}
