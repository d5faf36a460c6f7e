import type { ProxyConfiguration } from '../config/configuration';

export function iptablesSettings({ masqueradeBit }: ProxyConfiguration): { readonly masqueradeMark: number } {
  // Unsigned: bit 31 is one too.
  return { masqueradeMark: (1 << masqueradeBit) >>> 0 };
}
