/**
 * Finds UDP flows that the connection tracker would keep sending to an endpoint that is gone. The rule is kube-proxy's (a flow's
 * endpoint must be one that serves its frontend). Beyond it, flows are stale if their frontend's last endpoint or the frontend
 * itself is gone (kubernetes #139628, #141371).
 */
import { joinHostPort } from '../model/address';
import type { FlowFilter, UdpFlow } from '../model/flow';
import type { Plan, ServicePlan } from './plan';

declare const udpFrontendBrand: unique symbol;
/** `10.96.0.10 53`, or ` 30053` for a NodePort. */
export type UdpFrontend = string & { readonly [udpFrontendBrand]: true };

function udpFrontend(address: string, port: number): UdpFrontend {
  // The brand exists in the type system alone, so the only way to make one is a cast.
  return `${address} ${port}` as UdpFrontend;
}

function portOf(frontend: UdpFrontend): number {
  return Number(frontend.slice(frontend.indexOf(' ')));
}

/** `address:port` of every serving endpoint. If several Services claim one frontend, their endpoints are together. */
type Serving = Map<UdpFrontend, ReadonlySet<string>>;

/** The frontends of a port share one set, unless another port has the same frontend. */
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
 * Returns the frontends of a Service that may have stale flows after the change; most changes have none. The caller must
 * remember them until the change is in force and the flows are deleted: before that a client would only make the same flow again.
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
    // The frontends of a port come one after the other and share their sets.
    if (last?.old !== old || last.now !== now) last = { old, now, stale: haveStaleFlows(old, now) };
    return last.stale;
  });
}

/** When the first endpoint appears, flows that went to the VIP itself become stale. */
function haveStaleFlows(old: ReadonlySet<string>, now: ReadonlySet<string>): boolean {
  return old.size === 0 ? now.size > 0 : ![...old].every((endpoint) => now.has(endpoint));
}

function isTranslated({ dst, dstPort, replySrc, replySrcPort }: UdpFlow): boolean {
  return replySrc !== dst || replySrcPort !== dstPort;
}

/**
 * Returns a filter for the flows to these frontends that contradict the Plan, whatever the Plan was before. The filter has no
 * ports if there is nothing to look for.
 *
 * @param frontends a process that starts passes 'all', because it does not know what happened before. Flows to frontends that
 *   were deleted before it started are not found, because nothing distinguishes their VIPs from other addresses.
 * @param nodeAddresses this node's own. If NodePorts answer on all of them, a flow to another address does not belong to a NodePort.
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
