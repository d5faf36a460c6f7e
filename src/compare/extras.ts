/** Finds what the rules have without a Service, and compares the health check ports. */
import { joinHostPort } from '../model/address';
import type { Plan } from '../planner/plan';
import type { Destination, TracedKernel } from '../trace/kernel';
import { keyOf } from './claims';
import type { Change, Difference } from './difference';
import { isIn, usualOutside } from './sources';
import { observeWay, type ObservedWay } from './ways';

/** @param leftAlone CIDRs on which other programs may have virtual servers. */
export function findExtraFrontends(
  wanted: ReadonlySet<string>,
  kernel: TracedKernel,
  nodeAddresses: readonly string[],
  leftAlone: readonly string[],
): Difference[] {
  const own = new Set(nodeAddresses);
  const extra = new Map<string, Destination>();
  for (const destination of kernel.destinations) {
    const { address } = destination;
    if (wanted.has(keyOf(destination)) || (address !== '' && leftAlone.some((cidr) => isIn(cidr, address)))) continue;
    const there = own.has(address) ? { ...destination, address: '' } : destination;
    if (!wanted.has(keyOf(there))) extra.set(keyOf(there), there);
  }
  return [...extra.values()].map((destination) => describeExtra(destination, kernel, nodeAddresses[0] ?? ''));
}

function describeExtra(destination: Destination, kernel: TracedKernel, nodeAddress: string): Difference {
  const { address, protocol, port } = destination;
  const asked = { kernel, protocol, address: address === '' ? nodeAddress : address, port };
  const way = observeWay(asked, { address: usualOutside[kernel.family], device: 'eth0' }, false);
  const where = address === '' ? `NodePort ${port}` : joinHostPort(address, port);
  return {
    ...emptyDifference('frontend', 'extra'),
    observed: describeWay(way),
    frontend: `${where}/${protocol}`,
    rules: way.rules,
  };
}

function describeWay({ kind, endpoints }: ObservedWay): string {
  if (kind === 'forwarded') return `forwarded to ${[...endpoints.keys()].join(', ')}`;
  return kind === 'untouched' ? 'an entry that serves nobody' : kind;
}

export function compareHealthPorts({ services }: Plan, open: ReadonlySet<number>): Difference[] {
  const wanted = new Map<number, string>();
  for (const { key, healthCheckNodePort } of services.values())
    if (healthCheckNodePort !== 0) wanted.set(healthCheckNodePort, key);
  const describe = (port: number, service: string, change: Change): Difference => ({
    ...emptyDifference('health check port', change),
    service,
    frontend: `health check port ${port}/tcp`,
  });
  return [
    ...[...wanted].filter(([port]) => !open.has(port)).map(([port, key]) => describe(port, key, 'missing')),
    ...[...open].filter((port) => !wanted.has(port)).map((port) => describe(port, '', 'extra')),
  ];
}

function emptyDifference(aspect: Difference['aspect'], change: Change): Difference {
  return { aspect, change, expected: '', observed: '', service: '', frontend: '', sources: [], tried: [], rules: [] };
}
