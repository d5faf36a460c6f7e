/** Plans that are not what was recorded: each one thing that a node could have wrong, seen from the other side. */
import type { Aspect, Change } from '../../src/compare/difference';
import type { Frontend, Plan, PlanEndpoint, ServicePortPlan } from '../../src/planner/plan';

export interface PlanFault {
  readonly aspect: Aspect;
  readonly change: Change;
  readonly plan: Plan;
}

type Alter = (port: ServicePortPlan) => ServicePortPlan | undefined;

/** Faults of this kind, one for each service port that can have it. */
function alter(plan: Plan, aspect: Aspect, change: Change, alterPort: Alter): PlanFault[] {
  const faults: PlanFault[] = [];
  for (const [key, service] of plan.services)
    for (const [i, port] of service.ports.entries()) {
      const altered = alterPort(port);
      if (altered === undefined) continue;
      const ports = service.ports.map((one, at) => (at === i ? altered : one));
      faults.push({
        aspect,
        change,
        plan: { ...plan, services: new Map([...plan.services, [key, { ...service, ports }]]) },
      });
    }
  return faults;
}

/** Both lists, each where it has someone. */
function alterLists(
  port: ServicePortPlan,
  change: (list: readonly PlanEndpoint[]) => readonly PlanEndpoint[],
): ServicePortPlan {
  const { clusterEndpoints: cluster, localEndpoints: local } = port;
  return {
    ...port,
    clusterEndpoints: cluster.length === 0 ? cluster : change(cluster),
    localEndpoints: local.length === 0 ? local : change(local),
  };
}

const isForwarded = ({ verdict }: Frontend): boolean => verdict.kind === 'forward';

function alterFrontends(
  port: ServicePortPlan,
  isMeant: (frontend: Frontend) => boolean,
  change: (frontend: Frontend) => Partial<Frontend>,
): ServicePortPlan | undefined {
  if (!port.frontends.some(isMeant)) return undefined;
  return {
    ...port,
    frontends: port.frontends.map((frontend) => (isMeant(frontend) ? { ...frontend, ...change(frontend) } : frontend)),
  };
}

function openToAll(frontend: Frontend): Frontend {
  const { kind, address, port, verdict, masquerade, localSourcesToCluster } = frontend;
  return { kind, address, port, verdict, masquerade, localSourcesToCluster };
}

export function planFaults(plan: Plan): PlanFault[] {
  const isIPv4 = plan.family === 'IPv4';
  const stranger: PlanEndpoint = { address: isIPv4 ? '10.244.9.9' : 'fd44:9::9', port: 9999, isLocal: true };
  const networks = isIPv4 ? ['198.18.0.0/15', '203.0.113.128/25'] : ['2001:db8:5::/48', '2001:db8:6::/48'];
  const forwards = (port: ServicePortPlan): boolean => port.frontends.some(isForwarded);
  const differ = ({ clusterEndpoints: a, localEndpoints: b }: ServicePortPlan): boolean =>
    a.length > 0 && b.length > 0 && a.length !== b.length;
  const flip = ({ verdict }: Frontend): Partial<Frontend> =>
    verdict.kind === 'forward'
      ? { verdict: { kind: 'forward', endpoints: verdict.endpoints === 'cluster' ? 'local' : 'cluster' } }
      : {};
  const balancer: Frontend = {
    kind: 'ExternalIP',
    address: isIPv4 ? '198.51.100.99' : '2001:db8::99',
    port: 80,
    verdict: { kind: 'reject', why: 'no endpoints' },
    masquerade: 'always',
    localSourcesToCluster: false,
  };
  const fault = (aspect: Aspect, change: Change, alterPort: Alter): PlanFault[] =>
    alter(plan, aspect, change, alterPort);
  const ranged = ({ sourceRanges }: Frontend): boolean => sourceRanges !== undefined;
  return [
    ...fault('frontend', 'missing', (port) => ({ ...port, frontends: [...port.frontends, balancer] })),
    ...fault('frontend', 'extra', (port) => ({ ...port, frontends: port.frontends.slice(1) })),
    ...fault('frontend', 'missing', (port) =>
      alterFrontends(
        port,
        (one) => one === port.frontends[0],
        (one) => ({ port: one.port + 7 }),
      ),
    ),
    ...fault('endpoint', 'missing', (port) =>
      forwards(port) ? alterLists(port, (list) => [...list, stranger]) : undefined,
    ),
    ...fault('endpoint', 'extra', (port) =>
      forwards(port) && port.clusterEndpoints.length > 1 && !differ(port)
        ? alterLists(port, (list) => list.slice(1))
        : undefined,
    ),
    ...fault('endpoint', 'missing', (port) =>
      forwards(port)
        ? alterLists(port, ([first, ...rest]) => (first ? [{ ...first, port: 9999 }, ...rest] : rest))
        : undefined,
    ),
    ...fault('share', 'changed', (port) =>
      forwards(port) && port.clusterEndpoints.length > 1
        ? alterLists(port, ([first, ...rest]) => (first ? [{ ...first, weight: 3 }, ...rest] : rest))
        : undefined,
    ),
    ...fault('policy', 'changed', (port) =>
      differ(port) ? alterFrontends(port, (one) => isForwarded(one) && !one.localSourcesToCluster, flip) : undefined,
    ),
    ...fault('policy', 'changed', (port) => {
      const local = port.clusterEndpoints.filter(({ isLocal }) => isLocal);
      if (port.localEndpoints.length > 0 || local.length === 0 || local.length === port.clusterEndpoints.length)
        return undefined;
      const here = { verdict: { kind: 'forward', endpoints: 'local' } } as const;
      const held = alterFrontends(port, isForwarded, ({ kind }) =>
        kind === 'ClusterIP' ? here : { ...here, masquerade: 'never', localSourcesToCluster: true },
      );
      return held && { ...held, localEndpoints: local };
    }),
    ...fault('masquerade', 'missing', (port) =>
      alterFrontends(
        port,
        (one) => isForwarded(one) && one.masquerade !== 'always',
        () => ({ masquerade: 'always' }),
      ),
    ),
    ...fault('masquerade', 'extra', (port) =>
      alterFrontends(
        port,
        (one) => isForwarded(one) && one.masquerade !== 'never',
        () => ({ masquerade: 'never' }),
      ),
    ),
    ...fault('source ranges', 'extra', (port) =>
      alterFrontends(
        port,
        (one) => isForwarded(one) && !ranged(one),
        () => ({ sourceRanges: networks }),
      ),
    ),
    ...fault('source ranges', 'missing', (port) =>
      port.frontends.some((one) => ranged(one) && isForwarded(one))
        ? { ...port, frontends: port.frontends.map(openToAll) }
        : undefined,
    ),
    ...fault('source ranges', 'missing', (port) =>
      alterFrontends(
        port,
        (one) => ranged(one) && isForwarded(one),
        ({ sourceRanges = [] }) => ({ sourceRanges: [...sourceRanges, ...networks] }),
      ),
    ),
    ...fault('affinity', port0(plan) ? 'missing' : 'changed', (port) =>
      forwards(port) ? { ...port, affinitySeconds: port.affinitySeconds + 77 } : undefined,
    ),
    ...fault('affinity', 'extra', (port) =>
      forwards(port) && port.affinitySeconds > 0 ? { ...port, affinitySeconds: 0 } : undefined,
    ),
    ...fault('verdict', 'changed', (port) =>
      alterFrontends(port, isForwarded, () => ({
        verdict: { kind: 'reject', why: 'no endpoints' },
        localSourcesToCluster: false,
      })),
    ),
    ...fault('verdict', 'changed', (port) => {
      const served = alterFrontends(
        port,
        ({ verdict }) => verdict.kind === 'reject',
        () => ({ verdict: { kind: 'forward', endpoints: 'cluster' } }),
      );
      return served && { ...served, clusterEndpoints: [stranger] };
    }),
  ];
}

/** Whether no client is remembered by what was recorded. */
function port0({ services }: Plan): boolean {
  return [...services.values()].every(({ ports }) => ports.every(({ affinitySeconds }) => affinitySeconds === 0));
}
