/** What nft lists of our table, in an order that says nothing of how it came. */
import { tableName } from '../../src/backends/nftables/objects';
import type { Family } from '../../src/model/address';
import type { Lab } from './lab/lab';

type Listed = Readonly<Record<string, unknown>>;

const isListed = (value: unknown): value is Listed => typeof value === 'object' && value !== null;

/** Of the lab's node. */
export async function readNftRules(lab: Lab, family: Family): Promise<string[]> {
  const table = [family === 'IPv4' ? 'ip' : 'ip6', tableName];
  return nftRules((await lab.run('node', 'nft', ['-j', 'list', 'table', ...table])).stdout);
}

/**
 * Lines `chain NAME ...` and `map NAME ...`, by name: rules of a chain in their order, and elements sorted, but for those of sets that packets
 * fill. Handles are left out.
 */
function nftRules(json: string): string[] {
  const { nftables } = JSON.parse(json) as { readonly nftables: readonly Listed[] };
  const objects = new Map<string, string[]>();
  for (const [kind, object] of nftables.flatMap((entry) => Object.entries(entry))) {
    if (kind === 'metainfo' || !isListed(object)) continue;
    const name = kind === 'rule' ? `chain ${String(object['chain'])}` : `${kind} ${String(object['name'])}`;
    const lines = objects.get(name) ?? [];
    objects.set(name, lines);
    lines.push(...linesOf(object).map((line) => `${name} ${line}`));
  }
  return [...objects].toSorted(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, lines]) => lines);
}

function linesOf({ elem, ...object }: Listed): string[] {
  const isFilledByPackets = Array.isArray(object['flags']) && object['flags'].includes('dynamic');
  const elements = Array.isArray(elem) && !isFilledByPackets ? elem.map((one) => JSON.stringify(one)).toSorted() : [];
  return [JSON.stringify({ ...object, handle: undefined }), ...elements];
}
