/** What shows that somebody else edited the elements of a frontend in a table of nftables mode. */
import { parseFrontend } from '../backends/nftables/frontend-text';
import { keyInName, readRangesChain, refuseChain } from '../backends/nftables/names';
import { affinityPrefix } from '../backends/nftables/render-affinity';
import { readBalances } from '../backends/nftables/shared-chains';

interface FrontendTexts {
  readonly seen: string | undefined;
  readonly wanted: string | undefined;
  /** The key of a frontend of the same Service that should have the same endpoints, and that is as it should be. */
  readonly sibling: string | undefined;
}

/** Returns undefined if there is no sign of it. */
export function suspectFrontend(key: string, { seen, wanted, sibling }: FrontendTexts): string | undefined {
  if (seen === undefined || key.startsWith('@')) return undefined;
  const { leads, lists } = parseFrontend(seen);
  if (/^unused /m.test(seen))
    return leads.to === undefined
      ? `${key} leads nowhere, although its endpoints are there: its element was removed`
      : `${key} has more endpoints than ${chainOf(leads.to)} picks from`;
  if (lists.main.includes('nothing') || lists.local.includes('nothing'))
    return `${key} has fewer endpoints than ${chainOf(leads.to)} picks from`;
  const odd = Object.entries(leads).find(([name, lead]) => !isOurs(key, name, lead));
  if (odd !== undefined) return `${key}: vipwire has no such element: ${odd[1]}`;
  const differs = wanted !== undefined && parseFrontend(wanted).lists.main.join() !== lists.main.join();
  return differs && sibling !== undefined
    ? `${key} has other endpoints than ${sibling}, which is as it should be`
    : undefined;
}

function chainOf(lead = ''): string {
  return lead.split(' ')[1] ?? '';
}

/** Whether a Service could have this element. */
function isOurs(key: string, name: string, lead: string): boolean {
  const [value = '', comment] = lead.split(' # ');
  if (comment === undefined) return false;
  const chain = chainOf(value);
  switch (name) {
    case 'to':
      return readBalances(chain) !== undefined || chain.startsWith(affinityPrefix);
    case 'refused':
      return value === 'drop' || chain === refuseChain;
    default:
      return readRangesChain(chain) === keyInName(key);
  }
}
