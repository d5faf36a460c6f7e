/** `--init-only`: what an init container may do that the daemon beside its few capabilities may not. */
import type { ProxyConfiguration } from '../config/configuration';
import { effectiveConfiguration } from '../config/effective';
import { runCommand } from '../host/command';
import { readTextFile } from '../host/files';
import { loadModules } from '../host/kernel-modules';
import { modes } from '../modes/modes';
import { createLogger } from '../telemetry/logger';
import type { InitInvocation } from './invocation';
import { setUpKernel } from '../machine/kernel-settings';

/**
 * Loads modules and writes the kernel's settings; always 0. Needs no API server: kube-proxy waits for its Node here. Throws
 * UserError where the mode lacks what no Service works without.
 */
export async function initNode({ flags }: InitInvocation): Promise<number> {
  const { configuration, warnings } = await effectiveConfiguration(flags, readTextFile);
  const log = createLogger(configuration.logging);
  for (const warning of warnings) log.warn(warning);
  const mode = modes[configuration.mode];
  const failed = await loadModules(runCommand, modulesFor(configuration));
  if (failed.length > 0)
    log.info(
      { modules: failed.join(' ') },
      'modprobe has nothing to load for these: most often they are part of the kernel',
    );
  await mode.prepareNode(configuration, log);
  await setUpKernel(configuration, mode, log, 'init');
  log.info({ mode: configuration.mode }, 'the node is prepared (--init-only)');
  return 0;
}

/** Others are loaded by the kernel itself when a rule names them, where it can load any. */
export function modulesFor(configuration: ProxyConfiguration): string[] {
  return [
    'nf_conntrack',
    'nf_tables',
    'nft_compat',
    ...(configuration.detectLocalMode === 'BridgeInterface' ? ['br_netfilter'] : []),
    ...modes[configuration.mode].modules(configuration),
  ];
}
