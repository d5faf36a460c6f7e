/** Opens sources, and fills a store from them. */
import { systemClock } from '../host/clock';
import { readTextFileSync } from '../host/files';
import type { ClusterStore } from '../model/cluster-store';
import { UserError } from '../model/user-error';
import { version } from '../model/version';
import type { Logger } from '../telemetry/log';
import { ApiClient, type KubernetesObserver } from './kubernetes/api-client';
import { type Credentials, loadCredentials } from './kubernetes/credentials';
import { KubernetesSource } from './kubernetes/source';
import type { Source } from './source';

interface Server {
  readonly kubeconfig: string;
  readonly master: string;
}

function openCredentials({ kubeconfig, master }: Server): Credentials {
  return loadCredentials({
    kubeconfig,
    master,
    readFile: readTextFileSync,
    environment: process.env,
    clock: systemClock,
  });
}

const userAgent = `vipwire/${version}`;

/** Opens a client for single requests. Throws UserError when the credentials cannot be read. */
export function openApiClient(server: Server): ApiClient {
  return new ApiClient(openCredentials(server), { userAgent });
}

/**
 * Throws UserError when the credentials cannot be read.
 * @param nodeName the Node to watch. '' watches no Node.
 */
export function openKubernetes(
  server: Server,
  nodeName: string,
  log: Logger,
  observer?: KubernetesObserver,
): KubernetesSource {
  const credentials = openCredentials(server);
  return new KubernetesSource({
    credentials,
    nodeName,
    userAgent,
    log,
    ...(observer === undefined ? {} : { observer }),
  });
}

const listWaitMs = 30_000;

/** Fills the store, and keeps it up to date until the source is stopped. Throws UserError when the first lists do not come. */
export async function startSource(source: Source, store: ClusterStore, log: Logger): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(
        () => reject(new UserError(`the API server sent no list of Services within ${listWaitMs / 1000} s`)),
        listWaitMs,
      );
      source.start({
        apply: (changes) => store.apply(changes),
        warn: ({ object, kind, message }) => log.warn({ object, kind }, message),
        synced: resolve,
      });
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Fills the store once with everything that the source has, and stops the source. Throws UserError when it does not come. */
export async function listOnce(source: Source, store: ClusterStore, log: Logger): Promise<void> {
  try {
    await startSource(source, store, log);
  } finally {
    await source.stop();
  }
}
