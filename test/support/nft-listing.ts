/** What nft lists of the kernel. */
import { execFileSync } from 'node:child_process';
import { tableName } from '../../src/backends/nftables/objects';
import type { Family } from '../../src/model/address';

export function nft(...args: readonly string[]): string {
  return execFileSync('nft', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/**
 * As nft lists it for people, for programs, and as bytecode with user data. Elements come in the order of the kernel's hash table, and time
 * passes for those with a timeout.
 */
export function listTable(family: Family): readonly string[] {
  const withoutHandles = (text: string): string =>
    JSON.stringify(JSON.parse(text), (name, value: unknown) =>
      name === 'handle'
        ? undefined
        : name === 'elem' && Array.isArray(value)
          ? value.map((each) => JSON.stringify(each)).toSorted()
          : value,
    );
  const sorted = (text: string): string =>
    text.replace(/(?:^\telement .*\n)+/gm, (lines) => `${lines.trimEnd().split('\n').toSorted().join('\n')}\n`);
  const table = [family === 'IPv4' ? 'ip' : 'ip6', tableName];
  return [
    nft('list', 'table', ...table),
    withoutHandles(nft('-j', 'list', 'table', ...table)),
    sorted(nft('--debug=netlink', 'list', 'table', ...table)),
  ].map((text) => text.replaceAll(/ expires \w+|\\"expires\\":\d+/g, ''));
}
