import { systemClock } from '../host/clock';
import { readTextFileSync } from '../host/files';
import type { ClusterStore } from '../model/cluster-store';
import { UserError } from '../model/user-error';
import { ApiClient, type KubernetesObserver } from './kubernetes/api-client';
import { type Credentials, loadCredentials } from './kubernetes/credentials';
import { KubernetesSource } from './kubernetes/source';
import type { Source } from './source';
import type { Logger } from '../telemetry/log';
import { version } from '../model/version';

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

/** For single requests. Throws UserError where the credentials cannot be read. */
export function openApiClient(server: Server): ApiClient {
  return new ApiClient(openCredentials(server), { userAgent });
}

/** nodeName: '' where no Node is to be watched. Throws UserError where the credentials cannot be read. */
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

/** Fills the store, and keeps it up to date until the source is stopped. Throws UserError where the first lists do not come. */
export async function startSource(source: Source, store: ClusterStore, log: Logger): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(
        () => reject(new UserError(`no list of Services from the API server in ${listWaitMs / 1000} s`)),
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

/** Everything that a source has at the time. Throws UserError where it does not come. */
export async function listOnce(source: Source, store: ClusterStore, log: Logger): Promise<void> {
  try {
    await startSource(source, store, log);
  } finally {
    await source.stop();
  }
}
