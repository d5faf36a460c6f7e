import type { NodeConfig } from '../planner/node-settings';
import type { ProxyConfiguration } from './configuration';

/** What the planner is told of the configuration, and of what its mode needs. */
export function nodeConfigOf(
  configuration: ProxyConfiguration,
  nodeName: string,
  { needsHostAddresses }: { readonly needsHostAddresses: boolean },
): NodeConfig {
  return { ...configuration, hostname: nodeName, needsHostAddresses };
}
