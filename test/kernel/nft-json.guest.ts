/** Random tables as nft lists them in JSON, together with what we print for the same tables. */
import { execFileSync } from 'node:child_process';
import { printTableJson } from '../../src/backends/nftables/print-json';
import { families } from '../../src/model/address';
import { printWholeTable } from '../support/nft-text';
import { sampleTable } from '../support/nft-tables';

const notCompared = new Set(['handle', 'metainfo', 'expires']);
/** nft 1.0 prints changes of a map as text. */
const mapChange = /^(?:update|delete) @/;

/** Without what we cannot know. Elements come in the order of the kernel's hash table. */
function comparable(text: string): unknown {
  return JSON.parse(text, (name, value: unknown) => {
    if (notCompared.has(name)) return undefined;
    if (typeof value === 'string' && mapChange.test(value)) return 'a change';
    if (typeof value === 'object' && value !== null && 'map' in value && 'op' in Object(value.map)) return 'a change';
    if (name === 'elem' && Array.isArray(value)) return value.map((each) => JSON.stringify(each)).toSorted();
    return name === 'nftables' && Array.isArray(value)
      ? value.filter((entry: object) => Object.keys(entry).length > 0)
      : value;
  });
}

const seed = Number(process.argv[2] ?? '1');
const told = families.map((family) => {
  const table = sampleTable(family, seed);
  execFileSync('nft', ['-f', '-'], { input: printWholeTable(table, family) });
  const byNft = comparable(execFileSync('nft', ['-j', 'list', 'ruleset'], { encoding: 'utf8' }));
  execFileSync('nft', ['flush', 'ruleset']);
  return { byNft, byUs: comparable(printTableJson(table, family)) };
});
process.stdout.write(JSON.stringify(told));
