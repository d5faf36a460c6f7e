/** `--init-only`: does what an init container may do and the daemon, with its few capabilities, may not. */
import type { ProxyConfiguration } from '../config/configuration';
import { effectiveConfiguration } from '../config/effective';
import { runCommand } from '../host/command';
import { readTextFile } from '../host/files';
import { loadModules } from '../host/kernel-modules';
import { setUpKernel } from '../machine/kernel-settings';
import { modes } from '../modes/modes';
import { createLogger } from '../telemetry/logger';
import type { InitInvocation } from './invocation';

/**
 * Loads modules and writes the kernel's settings; always returns 0. Needs no API server, while kube-proxy waits for its Node here.
 * Throws UserError where the mode lacks something that every Service needs.
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
      'modprobe cannot load these modules: most often they are built into the kernel',
    );
  await mode.prepareNode(configuration, log);
  await setUpKernel(configuration, mode, log, 'init');
  log.info({ mode: configuration.mode }, 'the node is prepared (--init-only)');
  return 0;
}

/** The kernel itself loads other modules when a rule names them, where it can load modules. */
export function modulesFor(configuration: ProxyConfiguration): string[] {
  return [
    'nf_conntrack',
    'nf_tables',
    'nft_compat',
    ...(configuration.detectLocalMode === 'BridgeInterface' ? ['br_netfilter'] : []),
    ...modes[configuration.mode].modules(configuration),
  ];
}
