/** Clients that kube-proxy's nftables mode remembers, taken over: it has a set of clients for each endpoint. */
import { hash } from 'node:crypto';
import { protocolName } from '../../model/protocol';
import type { ServicePortPlan } from '../../planner/plan';
import type { RememberedClient, SetElement } from './objects';
import { type AffinityLists, affinityIds } from './render-affinity';

/** kube-proxy's sets by their names. */
export type RememberedClients = ReadonlyMap<string, readonly RememberedClient[]>;

/**
 * Elements for `clientsOf(port)`. A client that several endpoints remember stays with the one that saw it last. The kernel refuses an
 * element that is there with another value, so they are for a map that was just made.
 * @param sets those of other Services are ignored.
 */
export function adoptClients(
  port: ServicePortPlan,
  lists: AffinityLists,
  sets: RememberedClients,
): readonly SetElement[] {
  const seconds = port.affinitySeconds;
  const adopted = new Map<string, { readonly value: string; readonly remainingMs: number }>();
  for (const [endpoint, value] of affinityIds(lists))
    for (const { address, remainingMs } of sets.get(kubeProxyAffinitySet(port, endpoint)) ?? [])
      if (remainingMs > (adopted.get(address)?.remainingMs ?? 0))
        adopted.set(address, { value, remainingMs: Math.min(remainingMs, 1000 * seconds) });
  return Array.from(adopted, ([key, { value, remainingMs }]) => ({ key, value, timeout: { seconds, remainingMs } }));
}

/** kube-proxy's sets for session affinity, and nothing else in the table, have names that start so. */
const setPrefix = 'affinity-';

export function isKubeProxyAffinitySet(name: string): boolean {
  return name.startsWith(setPrefix);
}

/** Of names that kube-proxy makes. */
const mostNameLength = 240;
const cutEnd = '...';
const hashLength = 8;
const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/**
 * The name of kube-proxy's set for an endpoint: `affinity-TMPK2UA7-default/web/tcp/http__10.244.1.2/8080`.
 * @param endpoint `10.244.1.2 . 8080`
 */
export function kubeProxyAffinitySet(port: ServicePortPlan, endpoint: string): string {
  const place = `${port.service}/${protocolName(port.protocol)}/${port.portName}`;
  const text = `${place}__${endpoint.replace(' . ', '/')}`.replaceAll(':', '.');
  const name = `${shortHash(text)}-${text}`;
  const isLong = name.length > mostNameLength;
  return `${setPrefix}${isLong ? `${name.slice(0, mostNameLength - cutEnd.length)}${cutEnd}` : name}`;
}

/** The start of a SHA-256 in base32. */
function shortHash(text: string): string {
  const bits = BigInt(`0x${hash('sha256', text).slice(0, 10)}`);
  let out = '';
  for (let i = hashLength - 1; i >= 0; i--) out += base32.charAt(Number((bits >> BigInt(5 * i)) & 31n));
  return out;
}
