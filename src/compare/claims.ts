/** Which Services claim which address and port. */
import { sortedServices } from '../planner/describe';
import { type Frontend, type Plan, type ServicePortPlan, servicePortName } from '../planner/plan';
import type { Destination } from '../trace/kernel';
import { protocolName } from '../model/protocol';

export interface Claim {
  readonly port: ServicePortPlan;
  readonly frontend: Frontend;
}

/** Returns the claims by key. If there are several for one key, the first one should have it. */
export function collectClaims(plan: Plan): ReadonlyMap<string, readonly Claim[]> {
  const all = new Map<string, Claim[]>();
  for (const { ports } of sortedServices(plan))
    for (const port of ports)
      for (const frontend of port.frontends) {
        const key = keyOf({ ...frontend, protocol: protocolName(port.protocol) });
        all.set(key, [...(all.get(key) ?? []), { port, frontend }]);
      }
  for (const claims of all.values()) claims.sort((a, b) => (ownerOf(a) < ownerOf(b) ? -1 : 1));
  return all;
}

export function keyOf({ address, protocol, port }: Destination): string {
  return `${address} ${protocol} ${port}`;
}

/** The dispatch sorts claims in the same way. */
function ownerOf({ port, frontend }: Claim): string {
  return `${servicePortName(port)} ${frontend.kind}`;
}
