/** Tries a frontend from every source that may be treated differently from the others. */
import { joinHostPort } from '../model/address';
import type { Frontend, Plan, ServicePortPlan } from '../planner/plan';
import type { Finding } from './difference';
import { devicesOf, planSources, type Source } from './sources';
import { type Asked, expectWay, type ExpectedWay, type ExpectScope, observeWay, type ObservedWay } from './ways';

/** NodePorts also answer here in IPv4 in iptables mode. */
export const loopback = '127.0.0.1';

export interface TryScope extends ExpectScope {
  readonly plan: Plan;
  /** Canonical. */
  readonly nodeAddresses: readonly string[];
}

export interface Tried {
  readonly source: Source;
  readonly expected: ExpectedWay;
  readonly observed: ObservedWay;
}

/** Splits the sources further until no rule distinguishes addresses that one source stands for. */
export function trySources(port: ServicePortPlan, frontend: Frontend, asked: Asked, scope: TryScope): Tried[] {
  if (asked.address === loopback) return [tryLoopback(port, frontend, asked, scope)];
  const { settings, family } = scope.plan;
  const endpoints = [...port.clusterEndpoints, ...port.localEndpoints].map(({ address }) => address);
  const passOver = new Set([...endpoints, ...scope.nodeAddresses, asked.address]);
  const cidrs = new Set(frontend.sourceRanges ?? []);
  const passesOver = (address: string): boolean => passOver.has(address) || scope.isLocal(address);
  const node: Source = { kind: 'node', address: scope.nodeIP, device: '' };
  const sources = (): Source[] => [node, ...planSources(family, settings.localDetector[family], cidrs, passesOver)];
  const observed = new Map<string, ObservedWay>();
  const nameOf = ({ device, address }: Source): string => `${device} ${address}`;
  for (let cut = -1; cut < cidrs.size; ) {
    cut = cidrs.size;
    for (const source of sources().filter((one) => !observed.has(nameOf(one))))
      observed.set(
        nameOf(source),
        observeWay(asked, source, port.affinitySeconds > 0, (cidr) => cidrs.add(cidr)),
      );
  }
  return sources().flatMap((source) => {
    const way = observed.get(nameOf(source));
    return way === undefined ? [] : [{ source, expected: expectWay(port, frontend, source, scope), observed: way }];
  });
}

function tryLoopback(port: ServicePortPlan, frontend: Frontend, asked: Asked, scope: TryScope): Tried {
  const source: Source = { kind: 'node', address: loopback, device: '' };
  const observed = observeWay(asked, source, port.affinitySeconds > 0);
  const expected: ExpectedWay = scope.plan.settings.localhostNodePorts
    ? expectWay(port, frontend, source, scope)
    : { kind: 'untouched', endpoints: new Map() };
  return { source, expected, observed };
}

/**
 * Finds endpoints that reach themselves without being masqueraded. Only iptables mode masquerades endpoints on other nodes. Since the
 * result depends on the endpoint and hardly on the frontend, a port's first frontend tries all endpoints and the others only one.
 */
export function tryHairpin(port: ServicePortPlan, frontend: Frontend, asked: Asked, scope: TryScope): Finding[] {
  if (asked.address === loopback) return [];
  const { settings, family } = scope.plan;
  const kept: string[] = [];
  const isFirst = frontend === port.frontends[0];
  let tried = 0;
  for (const { address, port: number, isLocal } of new Set([...port.clusterEndpoints, ...port.localEndpoints])) {
    if (tried > 0 && !isFirst) break;
    if ((!isLocal && !scope.rules.masqueradesRemoteHairpin) || scope.isLocal(address)) continue;
    const devices = devicesOf(settings.localDetector[family], address);
    const from = devices.find(({ kind }) => (kind === 'pods') === isLocal) ?? devices[0];
    const text = joinHostPort(address, number);
    if (from === undefined || !expectWay(port, frontend, { ...from, address }, scope).endpoints.has(text)) continue;
    tried++;
    const way = observeWay(asked, { ...from, address }, false);
    if (way.endpoints.get(text)?.isMasqueraded === false) kept.push(text);
  }
  if (kept.length === 0) return [];
  const observed = `an endpoint that reaches itself sees its own address: ${kept.join(', ')}`;
  return [{ aspect: 'masquerade', change: 'missing', expected: "the node's", observed }];
}
