/** Whose rules a node has, and how they are looked at and removed there. */
import type { Variant } from '../../src/xtables/variant';
import type { Mode } from './api-process';
import type { Place, Site } from './site';

/** The rules of iptables mode in one of its variants, or those of nftables mode. */
export type Rules = Variant | 'nftables';

export const modeOf = (rules: Rules): Mode => (rules === 'nftables' ? 'nftables' : 'iptables');
export const titleOf = (rules: Rules): string => (rules === 'nftables' ? 'nftables' : `iptables-${rules}`);

export const restoreTool = (variant: Variant, family: 4 | 6): string =>
  `ip${family === 6 ? '6' : ''}tables-${variant}-restore`;

/** Returns the IPv4 addresses that the kernel translates to, one for each endpoint of each Service. */
export async function endpointsInForce(site: Site, place: Place, rules: Rules): Promise<string[]> {
  const [text, pattern] =
    rules === 'nftables'
      ? [await site.run(place, 'nft', ['list', 'map', 'ip', 'kube-proxy', 'vipwire-endpoints']), / : ([\d.]+) \. \d/g]
      : [await site.run(place, `iptables-${rules}-save`, []), /--to-destination ([^:\s]+)/g];
  return Array.from(text.matchAll(pattern), ([, address = '']) => address);
}

/** Empties the tables of the node. */
export async function flushRules(site: Site, place: Place, rules: Rules): Promise<void> {
  if (rules === 'nftables') {
    await site.run(place, 'nft', ['flush', 'ruleset']);
    return;
  }
  const tables = ['nat', 'filter', 'mangle'].map((table) => `*${table}\nCOMMIT\n`).join('');
  for (const family of [4, 6] as const) await site.run(place, restoreTool(rules, family), [], tables);
}
