import { systemClock } from '../host/clock';
import { readTextFileSync } from '../host/files';
import type { KubernetesObserver } from '../sources/kubernetes/api-client';
import { loadCredentials } from '../sources/kubernetes/credentials';
import { KubernetesSource } from '../sources/kubernetes/source';
import type { Logger } from '../telemetry/log';
import { version } from './command-line';

/** nodeName: '' where no Node is to be watched. Throws UserError where the credentials cannot be read. */
export function openKubernetes(
  { kubeconfig, master }: { readonly kubeconfig: string; readonly master: string },
  nodeName: string,
  log: Logger,
  observer?: KubernetesObserver,
): KubernetesSource {
  const credentials = loadCredentials({
    kubeconfig,
    master,
    readFile: readTextFileSync,
    environment: process.env,
    clock: systemClock,
  });
  const userAgent = `vipwire/${version}`;
  return new KubernetesSource({
    credentials,
    nodeName,
    userAgent,
    log,
    ...(observer === undefined ? {} : { observer }),
  });
}
