import type { NodeConfig } from '../planner/node-settings';
import type { ProxyConfiguration } from './configuration';

/** Returns the part of the configuration that the planner needs, with the needs of the mode. */
export function nodeConfigOf(
  configuration: ProxyConfiguration,
  nodeName: string,
  {
    needsHostAddresses,
    listensOnIPv6Loopback,
  }: { readonly needsHostAddresses: boolean; readonly listensOnIPv6Loopback: boolean },
): NodeConfig {
  return { ...configuration, hostname: nodeName, needsHostAddresses, listensOnIPv6Loopback };
}
