/** Takes over every recorded table of kube-proxy, and is compared with the same cluster on a node without rules. */
import { NftablesBackend } from '../../src/backends/nftables/backend';
import { NetlinkNftKernel } from '../../src/backends/nftables/driver';
import { printTableName } from '../../src/backends/nftables/print';
import { runCommand } from '../../src/host/command';
import { families, type Family } from '../../src/model/address';
import type { Plan } from '../../src/planner/plan';
import { planRecording, readRecordings } from '../compare/recordings';
import { nft } from '../support/nft-listing';

/** In the order in which nft takes what it lists: chains before the elements that lead to them. */
const kinds = ['table', 'chain', 'set', 'map', 'rule'];

async function load(recorded: string): Promise<void> {
  const { nftables } = JSON.parse(recorded) as { nftables: object[] };
  const kindOf = (object: object): number => kinds.indexOf(Object.keys(object)[0] ?? '');
  const objects = nftables.filter((object) => kindOf(object) >= 0).sort((a, b) => kindOf(a) - kindOf(b));
  // nft opens its input a second time, which a socket does not allow.
  await runCommand('sh', ['-c', 'cat | nft -j -f -'], { input: JSON.stringify({ nftables: objects }) });
}

/** As a process that has just started. Returns what a second one would write. */
async function sync(family: Family, plan: Plan): Promise<string> {
  const kernel = new NetlinkNftKernel(family);
  const start = async (): Promise<NftablesBackend> => {
    const backend = new NftablesBackend(family, { masqueradeMark: 0x4000 }, kernel);
    await backend.read();
    backend.render(plan);
    return backend;
  };
  const first = await start();
  await first.apply(first.diff() ?? []);
  const second = await start();
  const more = second.print(second.diff() ?? []);
  kernel.close();
  return more;
}

async function main(): Promise<unknown> {
  const differences: Record<string, unknown> = {};
  let taken = 0;
  for (const recording of readRecordings('nftables'))
    for (const family of families) {
      if (family === 'IPv6' && !recording.name.startsWith('dual-stack')) continue;
      const plan = planRecording(recording, 'nftables', family);
      await load(recording.nft ?? '');
      const more = await sync(family, plan);
      const takenOver = list(family);
      nft('flush', 'ruleset');
      await sync(family, plan);
      const fresh = list(family);
      nft('flush', 'ruleset');
      if (more !== '' || takenOver !== fresh) differences[`${recording.name} ${family}`] = { more, takenOver, fresh };
      else taken++;
    }
  return { differences, taken };
}

/**
 * Objects come in the order in which they were made. The table's comment stays as it is: the kernel cannot change it. Clients that
 * kube-proxy remembered are taken over, and a node without rules has none.
 */
function list(family: Family): string {
  const lines = nft('list', 'table', ...printTableName(family).split(' ')).split('\n');
  return lines
    .filter((line) => !line.startsWith('\tcomment') && !line.includes(' expires '))
    .sort()
    .join('\n');
}

void main().then((result) => process.stdout.write(JSON.stringify(result)));
