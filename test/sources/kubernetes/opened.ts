/** Fake API servers with sources that follow them, and what these have heard. */
import { type ServiceKey, serviceKey } from '../../../src/model/cluster';
import type { KubernetesTiming } from '../../../src/sources/kubernetes/source';
import { FakeApiServer, type FakeApiServerOptions } from '../../support/fake-api-server';
import type { FakeResource } from '../../support/fake-api-store';
import { watch, type Watching } from './watching';
import { until } from '../../support/until';

export const cart = serviceKey('shop', 'cart');
const opened: { stop(): Promise<void> }[] = [];

export async function fake(options: FakeApiServerOptions = {}): Promise<FakeApiServer> {
  const server = await FakeApiServer.start(options);
  opened.push(server);
  return server;
}

export function follow(
  server: FakeApiServer,
  timing: Partial<KubernetesTiming> = {},
  readsServiceCIDRs = false,
): Watching {
  const watching = watch(server, timing, {}, readsServiceCIDRs);
  opened.unshift(watching.source);
  return watching;
}

/** A source that has synced and whose watches are open. */
export async function synced(server: FakeApiServer, timing: Partial<KubernetesTiming> = {}): Promise<Watching> {
  const watching = follow(server, timing);
  await until(() => watching.isSynced() && server.watches() === 3);
  return watching;
}

export function addressesOf({ store }: Watching, key: ServiceKey = cart): string[] {
  return store.slicesOf(key).flatMap((each) => each.endpoints.map(({ address }) => address));
}

export function namesOf({ store }: Watching): string[] {
  return [...store.services.values()].map(({ name }) => name).sort();
}

export function requestsOf(
  server: FakeApiServer,
  resource: FakeResource,
  verb: 'list' | 'watch',
): Readonly<Record<string, string>>[] {
  return server.requests
    .filter((request) => request.resource === resource && request.verb === verb)
    .map(({ query }) => query);
}

/** For afterEach: sources first. */
export async function stopAll(): Promise<void> {
  for (const each of opened.splice(0)) await each.stop();
}
