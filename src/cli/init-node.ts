/** `--init-only`: what an init container may do that the daemon beside its few capabilities may not. */
import { prepareNode, thisNode } from '../backends/ipvs/driver-node';
import { openServers } from '../backends/ipvs/driver-servers';
import type { ProxyConfiguration } from '../config/configuration';
import { effectiveConfiguration } from '../config/effective';
import { runCommand } from '../host/command';
import { readTextFile } from '../host/files';
import { loadModules } from '../host/kernel-modules';
import { schedulerName } from '../model/scheduler';
import { createLogger } from '../telemetry/logger';
import type { InitInvocation } from './command-line';
import { setUpKernel } from '../machine/kernel-settings';

/**
 * Loads modules and writes the kernel's settings; always 0. Needs no API server: kube-proxy waits for its Node here. Throws
 * UserError where mode ipvs lacks what no Service works without.
 */
export async function initNode({ flags }: InitInvocation): Promise<number> {
  const { configuration, warnings } = await effectiveConfiguration(flags, readTextFile);
  const log = createLogger(configuration.logging);
  for (const warning of warnings) log.warn(warning);
  const failed = await loadModules(runCommand, modulesFor(configuration));
  if (failed.length > 0)
    log.info(
      { modules: failed.join(' ') },
      'modprobe has nothing to load for these: most often they are part of the kernel',
    );
  if (configuration.mode === 'ipvs') {
    // Where modprobe cannot, the kernel loads ip_vs at the first question.
    (await openServers('IPv4', runCommand)).close();
    await prepareNode(thisNode, { strictArp: configuration.ipvs.strictARP }, log);
  }
  await setUpKernel(configuration, log, 'init');
  log.info({ mode: configuration.mode }, 'the node is prepared (--init-only)');
  return 0;
}

/** Others are loaded by the kernel itself when a rule names them, where it can load any. */
export function modulesFor({
  mode,
  detectLocalMode,
  ipvs,
}: Pick<ProxyConfiguration, 'mode' | 'detectLocalMode' | 'ipvs'>): string[] {
  return [
    'nf_conntrack',
    'nf_tables',
    'nft_compat',
    ...(detectLocalMode === 'BridgeInterface' ? ['br_netfilter'] : []),
    ...(mode === 'ipvs' ? ['ip_vs', `ip_vs_${schedulerName(ipvs.scheduler)}`, 'ip_set', 'xt_set', 'dummy'] : []),
  ];
}
