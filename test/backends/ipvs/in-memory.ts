/** An IPVS backend on a kernel in memory, with one Service. */
import { IpvsBackend, type IpvsOptions } from '../../../src/backends/ipvs/backend';
import type { Plan, ServicePlan, ServicePortPlan } from '../../../src/planner/plan';
import type { FakeIpvs } from '../../support/fake-ipvs';
import { clusterIP, endpoint, plan, service, servicePort } from '../../support/plans';
import { ipvsSettings } from '../../support/settings';

export const nodeAddresses = { hostAddresses: ['192.168.88.10'] };

export function makeBackend(kernel: FakeIpvs, over: Partial<IpvsOptions> = {}): IpvsBackend {
  const options = { settings: ipvsSettings, excludeCIDRs: [], drainLimitMs: 60_000, now: () => 0, ...over };
  return new IpvsBackend('IPv4', options, kernel);
}

/** Reads, renders and writes, as a process does when it starts. */
export async function start(kernel: FakeIpvs, wanted: Plan, over: Partial<IpvsOptions> = {}): Promise<IpvsBackend> {
  const backend = makeBackend(kernel, over);
  await backend.read();
  backend.render(wanted);
  await backend.apply(backend.diff() ?? []);
  return backend;
}

export const web = (pods: readonly string[], over: Partial<ServicePortPlan> = {}): ServicePlan =>
  service([
    servicePort('web', {
      frontends: [clusterIP('10.96.0.10')],
      clusterEndpoints: pods.map((address) => endpoint(address)),
      ...over,
    }),
  ]);

/** Changes the Service, in a round of its own. */
export async function change(
  backend: IpvsBackend,
  kernel: FakeIpvs,
  after: ServicePlan | undefined,
): Promise<string[]> {
  const key = web([]).key;
  const wanted = plan('IPv4', after === undefined ? [] : [after], nodeAddresses);
  backend.renderChanges(wanted, new Map([[key, after]]));
  kernel.writes.length = 0;
  await backend.apply(backend.diff() ?? []);
  return [...kernel.writes];
}

export const vip = 'TCP 10.96.0.10:80';
