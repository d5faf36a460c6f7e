/** Finds the frontend at an address and port, or explains why there is none. */
import { isLoopback, joinHostPort } from '../model/address';
import type { ClusterState } from '../model/cluster';
import { sortedServices } from '../planner/describe';
import type { Frontend, Plan, ServicePortPlan } from '../planner/plan';
import { endpointsOf, podOf, type Target } from './question';

export interface Found {
  readonly port: ServicePortPlan;
  readonly frontend: Frontend;
}

/** If several Services claim the target, the first one by name has it. */
export function findFrontend(plan: Plan, target: Target, nodeAddresses: readonly string[]): Found | undefined {
  for (const { ports } of sortedServices(plan))
    for (const port of ports) {
      if (port.protocol !== target.protocol) continue;
      const frontend = port.frontends.find((one) => isAt(one, target, plan, nodeAddresses));
      if (frontend !== undefined) return { port, frontend };
    }
  return undefined;
}

function isAt(frontend: Frontend, target: Target, plan: Plan, nodeAddresses: readonly string[]): boolean {
  if (frontend.port !== target.port) return false;
  if (frontend.kind !== 'NodePort') return frontend.address === target.address;
  return answersNodePorts(target, plan, nodeAddresses);
}

function answersNodePorts(target: Target, plan: Plan, nodeAddresses: readonly string[]): boolean {
  const { address } = target;
  const { family, settings } = plan;
  if (isLoopback(address)) return family === 'IPv4' ? settings.localhostNodePorts : isRelayed(target, plan);
  const answering = settings.nodePortAddresses[family];
  return answering.kind === 'all' ? nodeAddresses.includes(address) : answering.addresses.includes(address);
}

/** Whether a listener of vipwire serves the NodePort, since no rule can: TCP on ::1. */
export function isRelayed({ address, protocol }: Target, { family, settings }: Plan): boolean {
  return family === 'IPv6' && isLoopback(address) && protocol === 'TCP' && settings.localhostNodePortsIPv6 === true;
}

/** Explains why the target has no frontend, and names what is similar to it, one line each. */
export function explainMiss(
  plan: Plan,
  cluster: ClusterState,
  target: Target,
  nodeAddresses: readonly string[],
): string[] {
  const lines: string[] = [];
  const { address, port, protocol } = target;
  for (const { ports } of sortedServices(plan)) {
    const at = ports.flatMap((one) => one.frontends.map((frontend) => ({ one, frontend })));
    const same = at.filter(({ frontend }) => frontend.address === address && frontend.kind !== 'NodePort');
    const [first] = same;
    if (first !== undefined) {
      const has = same.map(({ one, frontend }) => `${frontend.port}/${one.protocol.toLowerCase()}`);
      lines.push(
        `${address} is ${first.frontend.kind} of ${first.one.service}, which has no port ${port}/${protocol.toLowerCase()}: it has ${has.join(', ')}`,
      );
    }
    for (const { one, frontend } of at)
      if (frontend.kind === 'NodePort' && frontend.port === port && one.protocol === protocol)
        lines.push(nodePortMiss(one, target, plan, nodeAddresses));
  }
  for (const { slice, endpoint } of endpointsOf(cluster))
    if (endpoint.address === address)
      lines.push(
        `${address} is ${podOf(slice, endpoint.target) || 'an endpoint'} itself, behind Service ${slice.namespace}/${slice.serviceName}: no service proxy is involved`,
      );
  return [...new Set(lines)];
}

function nodePortMiss(
  { service }: ServicePortPlan,
  { address, port, protocol }: Target,
  { family, settings }: Plan,
  nodeAddresses: readonly string[],
): string {
  const what = `NodePort ${port} of ${service}`;
  if (isLoopback(address)) {
    if (family === 'IPv4') return `${what} does not answer on loopback (iptables.localhostNodePorts)`;
    return settings.localhostNodePortsIPv6 === true
      ? `${what} does not answer on ${address}: only TCP is served there, not ${protocol}`
      : `${what} does not answer on loopback in IPv6`;
  }
  const answering = settings.nodePortAddresses[family];
  if (answering.kind === 'some' && nodeAddresses.includes(address))
    return `${what} does not answer on ${address}: nodePortAddresses allows ${answering.addresses.join(', ') || 'no address'}`;
  return `${what} answers on this node's addresses: ${nodeAddresses.map((one) => joinHostPort(one, port)).join(', ')}`;
}
