/**
 * UDP flows that the connection tracker would go on sending to where nobody is. kube-proxy's rule (a flow's endpoint must be one
 * that serves its frontend), and beyond it: flows whose last endpoint or whose frontend is gone (kubernetes #139628, #141371).
 */
import { joinHostPort } from '../model/address';
import type { FlowFilter, UdpFlow } from '../model/flow';
import type { Plan, ServicePlan } from './plan';

declare const udpFrontendBrand: unique symbol;
/** `10.96.0.10 53`; ` 30053` for a NodePort. */
export type UdpFrontend = string & { readonly [udpFrontendBrand]: true };

function udpFrontend(address: string, port: number): UdpFrontend {
  return `${address} ${port}` as UdpFrontend;
}

function portOf(frontend: UdpFrontend): number {
  return Number(frontend.slice(frontend.indexOf(' ')));
}

/** `address:port` of every serving endpoint; of all Services together where several claim one frontend. */
type Serving = Map<UdpFrontend, ReadonlySet<string>>;

/** A port's frontends share one set, unless another port has the same frontend. */
function addServing(serving: Serving, service: ServicePlan): void {
  for (const { protocol, frontends, servingEndpoints } of service.ports) {
    if (protocol !== 'UDP') continue;
    const endpoints = new Set(servingEndpoints);
    for (const { address, port } of frontends) {
      const key = udpFrontend(address, port);
      const others = serving.get(key);
      serving.set(key, others === undefined ? endpoints : new Set([...others, ...endpoints]));
    }
  }
}

/**
 * Frontends of a Service some of whose flows are stale after the change; most changes have none. To be remembered until
 * the change is in force and the flows are gone: before that a client would only make the same flow again.
 */
export function diffUdpFrontends(before: ServicePlan | undefined, after: ServicePlan | undefined): UdpFrontend[] {
  const was: Serving = new Map();
  const is: Serving = new Map();
  if (before !== undefined) addServing(was, before);
  if (after !== undefined) addServing(is, after);
  const none: ReadonlySet<string> = new Set();
  let last:
    | { readonly old: ReadonlySet<string>; readonly now: ReadonlySet<string>; readonly stale: boolean }
    | undefined;
  return [...new Set([...was.keys(), ...is.keys()])].filter((frontend) => {
    const [old, now] = [was.get(frontend) ?? none, is.get(frontend) ?? none];
    // The frontends of a port come one after the other, and share their sets.
    if (last?.old !== old || last.now !== now) last = { old, now, stale: haveStaleFlows(old, now) };
    return last.stale;
  });
}

/** With the first endpoint, flows that went to the VIP itself are stale. */
function haveStaleFlows(old: ReadonlySet<string>, now: ReadonlySet<string>): boolean {
  return old.size === 0 ? now.size > 0 : ![...old].every((endpoint) => now.has(endpoint));
}

function isTranslated({ dst, dstPort, replySrc, replySrcPort }: UdpFlow): boolean {
  return replySrc !== dst || replySrcPort !== dstPort;
}

/**
 * Flows to these frontends that the Plan does not want, whatever it wanted before; no ports where there are none to look
 * for. `nodeAddresses` are this node's own: where NodePorts answer on all of them, a flow to another address is not one's.
 *
 * A process that starts judges 'all': what happened while nobody looked is unknown. Flows to frontends that went in
 * that time stay: nothing tells their VIPs from other addresses.
 */
export function planStaleFlows(
  frontends: ReadonlySet<UdpFrontend> | 'all',
  plan: Plan,
  nodeAddresses: ReadonlySet<string>,
): FlowFilter {
  let serving: Serving | undefined;
  const readServing = (): Serving => {
    if (serving !== undefined) return serving;
    serving = new Map();
    for (const service of plan.services.values()) addServing(serving, service);
    return serving;
  };
  const judged: Pick<ReadonlySet<UdpFrontend>, 'has' | 'keys'> = frontends === 'all' ? readServing() : frontends;
  const nodePorts = plan.settings.nodePortAddresses[plan.family];
  const nodePortAddresses = nodePorts.kind === 'some' ? new Set(nodePorts.addresses) : nodeAddresses;

  const frontendOf = ({ dst, dstPort }: UdpFlow): UdpFrontend | undefined => {
    const own = udpFrontend(dst, dstPort);
    if (judged.has(own)) return own;
    const nodePort = udpFrontend('', dstPort);
    return judged.has(nodePort) && nodePortAddresses.has(dst) && !readServing().has(own) ? nodePort : undefined;
  };
  return {
    ports: new Set([...judged.keys()].map(portOf)),
    isStale: (flow) => {
      const frontend = frontendOf(flow);
      if (frontend === undefined) return false;
      const endpoints = readServing().get(frontend);
      if (endpoints === undefined || endpoints.size === 0) return isTranslated(flow);
      return !endpoints.has(joinHostPort(flow.replySrc, flow.replySrcPort));
    },
  };
}
