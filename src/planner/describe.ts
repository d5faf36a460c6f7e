/** Describes a Plan's Services in words, one line per Service, sorted by namespace and name. */
import type { ServiceKey } from '../model/cluster';
import { joinHostPort } from '../model/address';
import type { Frontend, Plan, ServicePlan, ServicePortPlan } from './plan';

export interface ServiceLine {
  readonly key: ServiceKey;
  readonly text: string;
}

/** `default/web  3 endpoints  ClusterIP 10.96.0.10:80/tcp, NodePort 30080/tcp (Local)`, columns aligned. */
export function describeServices(plan: Plan): ServiceLine[] {
  const services = sortedServices(plan);
  const rows = services.map(
    (service) => [service.key, describeEndpoints(service), describeFrontends(service)] as const,
  );
  const widths = [0, 1].map((column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => ({
    key: row[0],
    text: `${row[0].padEnd(widths[0] ?? 0)}  ${row[1].padEnd(widths[1] ?? 0)}  ${row[2]}`.trimEnd(),
  }));
}

/** Sorted by namespace, then by name. */
export function sortedServices(plan: Plan): ServicePlan[] {
  const nameOf = ({ ports }: ServicePlan): [string, string] => [ports[0]?.namespace ?? '', ports[0]?.name ?? ''];
  return [...plan.services.values()].sort((a, b) => {
    const [[aNamespace, aName], [bNamespace, bName]] = [nameOf(a), nameOf(b)];
    if (aNamespace !== bNamespace) return aNamespace < bNamespace ? -1 : 1;
    return aName < bName ? -1 : 1;
  });
}

/** Counts the distinct addresses of all ports and lists. */
function describeEndpoints({ ports }: ServicePlan): string {
  const addresses = new Set<string>();
  for (const { clusterEndpoints, localEndpoints } of ports)
    for (const { address } of [...clusterEndpoints, ...localEndpoints]) addresses.add(address);
  return addresses.size === 1 ? '1 endpoint' : `${addresses.size} endpoints`;
}

function describeFrontends({ ports }: ServicePlan): string {
  return ports.flatMap((port) => port.frontends.map((frontend) => describeFrontend(port, frontend))).join(', ');
}

/** `LoadBalancer 203.0.113.5:80/tcp (from 10.0.0.0/8, Local)`. */
export function describeFrontend(
  port: ServicePortPlan,
  { kind, address, port: number, verdict, ...rest }: Frontend,
): string {
  const where = address === '' ? number.toString() : joinHostPort(address, number);
  const notes = [
    ...(rest.sourceRanges === undefined ? [] : [`from ${rest.sourceRanges.join(' ')}`]),
    ...(verdict.kind === 'forward' && verdict.endpoints === 'local' ? ['Local'] : []),
    ...(verdict.kind === 'forward' ? [] : [`${verdict.kind}: ${verdict.why}`]),
  ];
  return `${kind} ${where}/${port.protocol.toLowerCase()}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`;
}
