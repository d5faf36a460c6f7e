import type { NodeConfig } from '../planner/node-settings';
import type { ProxyConfiguration } from './configuration';

/** What the planner is told of the configuration. */
export function nodeConfigOf(configuration: ProxyConfiguration, nodeName: string): NodeConfig {
  return { ...configuration, hostname: nodeName, needsHostAddresses: configuration.mode === 'ipvs' };
}
