/** What the probe of the kernel and the look at its hooks tell. */
import { NetlinkNftKernel } from '../../src/backends/nftables/driver';
import { findMissingParts } from '../../src/backends/nftables/driver-probe';
import { readDroppingChains } from '../../src/host/nf-hooks';
import { NfGeneration } from '../../src/host/nf-generation';
import { families } from '../../src/model/address';
import { nft } from '../support/nft-listing';

async function main(): Promise<unknown> {
  const generation = new NfGeneration();
  const before = await generation.readGeneration();
  const missing: Record<string, unknown> = {};
  for (const family of families) {
    const kernel = new NetlinkNftKernel(family);
    missing[family] = await findMissingParts(family, kernel);
    kernel.close();
  }
  const written = (await generation.readGeneration()) - before;
  generation.close();
  const left = nft('list', 'ruleset');
  const none = await readDroppingChains();
  nft('add', 'table', 'inet', 'firewalld');
  const hook = (name: string, policy: string): string =>
    nft('add', 'chain', 'inet', 'firewalld', name, `{ type filter hook ${name} priority 10; policy ${policy}; }`);
  hook('forward', 'drop');
  hook('input', 'accept');
  nft('add', 'chain', 'inet', 'firewalld', 'plain');
  nft('add', 'table', 'ip6', 'filter');
  nft('add', 'chain', 'ip6', 'filter', 'INPUT', '{ type filter hook input priority 0; policy drop; }');
  return { missing, written, left, none, dropping: await readDroppingChains() };
}

void main().then((told) => process.stdout.write(JSON.stringify(told)));
