import type { ProxyConfiguration } from '../config/configuration';

/** The mark of packets that are masqueraded. It is unsigned, since bit 31 can be chosen too. */
export function masqueradeMarkOf({ masqueradeBit }: Pick<ProxyConfiguration, 'masqueradeBit'>): number {
  return (1 << masqueradeBit) >>> 0;
}
