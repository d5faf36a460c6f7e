import { alignColumns } from '../inspect/columns';
import { describeFrontend, sortedServices } from '../planner/describe';
import type { Plan } from '../planner/plan';

/** One row per frontend: the Service, the frontend, the number of endpoints and of those on this node, and masquerading. */
export function printSummary(plan: Plan): string {
  const rows = [['SERVICE', 'PORT', 'FRONTEND', 'ENDPOINTS', 'HERE', 'MASQUERADE', 'AFFINITY']];
  for (const service of sortedServices(plan))
    for (const port of service.ports)
      for (const frontend of port.frontends) {
        const { verdict, masquerade } = frontend;
        const list =
          verdict.kind === 'forward' && verdict.endpoints === 'local' ? port.localEndpoints : port.clusterEndpoints;
        rows.push([
          service.key,
          port.portName === '' ? '-' : port.portName,
          describeFrontend(port, frontend),
          list.length.toString(),
          list.filter(({ isLocal }) => isLocal).length.toString(),
          masquerade,
          port.affinitySeconds === 0 ? '-' : `${port.affinitySeconds} s`,
        ]);
      }
  const node = plan.settings.nodeName === '' ? 'a node without pods' : `node ${plan.settings.nodeName}`;
  return `${plan.family}, ${node}: ${plan.services.size} services\n${alignColumns(rows)}`;
}
