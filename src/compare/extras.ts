/** What the rules have and no Service, and the ports of health checks. */
import { type Family, joinHostPort } from '../model/address';
import type { Plan } from '../planner/plan';
import type { Destination, TracedKernel } from '../trace/kernel';
import { keyOf } from './claims';
import type { Change, Difference } from './difference';
import { isIn } from './sources';
import { observeWay, type ObservedWay } from './ways';

/** `leftAlone`: CIDRs on which others may have theirs. */
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
  return [...extra.values()].map((destination) => tellExtra(destination, kernel, nodeAddresses[0] ?? ''));
}

function tellExtra(destination: Destination, kernel: TracedKernel, nodeAddress: string): Difference {
  const { address, protocol, port } = destination;
  const asked = { kernel, protocol, address: address === '' ? nodeAddress : address, port };
  const way = observeWay(asked, { address: outsideOf(kernel.family), device: 'eth0' }, false);
  const where = address === '' ? `NodePort ${port}` : joinHostPort(address, port);
  return {
    ...nobodys('frontend', 'extra'),
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
  const tell = (port: number, service: string, change: Change): Difference => ({
    ...nobodys('health check port', change),
    service,
    frontend: `health check port ${port}/tcp`,
  });
  return [
    ...[...wanted].filter(([port]) => !open.has(port)).map(([port, key]) => tell(port, key, 'missing')),
    ...[...open].filter((port) => !wanted.has(port)).map((port) => tell(port, '', 'extra')),
  ];
}

function nobodys(aspect: Difference['aspect'], change: Change): Difference {
  return { aspect, change, expected: '', observed: '', service: '', frontend: '', sources: [], tried: [], rules: [] };
}

function outsideOf(family: Family): string {
  return family === 'IPv4' ? '192.0.2.1' : '2001:db8::1';
}
