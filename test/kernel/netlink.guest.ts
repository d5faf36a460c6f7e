/** What netlink answers in a new network namespace, as JSON. */
import { execFileSync } from 'node:child_process';
import { NfGeneration } from '../../src/host/nf-generation';
import { NetlinkError, NetlinkSocket, netlinkProtocols } from '../../src/host/netlink';
import { mostInBatch, NetlinkBatch } from '../../src/host/netlink-batch';

/** Adds addresses to lo: RTM_NEWADDR with struct ifaddrmsg and IFA_LOCAL. The kernel refuses those that are there already. */
async function tryBatches(): Promise<unknown> {
  const batch = new NetlinkBatch(netlinkProtocols.route, 16);
  const add = (hosts: readonly number[]): Promise<ReadonlyMap<number, string>> =>
    batch.send(20, hosts.length, (index, message, at) => {
      message.set([2, 32, 0, 0, 1, 0, 0, 0, 8, 0, 2, 0, 10, 0, 0, hosts[index] ?? 0], at);
      return at + 16;
    });
  const all = Array.from({ length: mostInBatch }, (_, i) => i + 1);
  // All at once, so that they wait for one another.
  const [first, second, none] = await Promise.all([add([3, 1, 4, 1]), add(all), add([])]);
  batch.close();
  const closed = await add([9]).catch((error: unknown) => error);
  return {
    first: [...first],
    second: [...second],
    none: none.size,
    closed: closed instanceof NetlinkError ? closed.code : String(closed),
  };
}

async function main(): Promise<unknown> {
  const generation = new NfGeneration();
  const before = await generation.readGeneration();
  execFileSync('nft', ['add', 'table', 'ip', 'x']);
  const afterWrite = await generation.readGeneration();
  execFileSync('nft', ['list', 'ruleset']);
  const afterRead = await generation.readGeneration();

  const start = performance.now();
  for (let i = 0; i < 500; i++) await generation.readGeneration();
  const microseconds = (performance.now() - start) * 2;

  // 3,000 at once: many more than may be in flight.
  const burst = await Promise.all(Array.from({ length: 3_000 }, () => generation.readGeneration()));

  const socket = new NetlinkSocket(12);
  const refused = await socket.request((10 << 8) | 99, 0, Buffer.alloc(4)).catch((error: unknown) => error);
  const afterRefusal = await socket.request((10 << 8) | 16, 0, Buffer.alloc(4));
  socket.close();
  const afterClose = await socket.request((10 << 8) | 16, 0, Buffer.alloc(4)).catch((error: unknown) => error);
  return {
    batches: await tryBatches(),
    written: afterWrite - before,
    read: afterRead - afterWrite,
    microseconds,
    burst: burst.length === 3_000 && burst.every((id) => id === afterRead),
    refused: refused instanceof NetlinkError ? refused.code : String(refused),
    answersAfterRefusal: afterRefusal.length,
    afterClose: afterClose instanceof NetlinkError ? afterClose.code : String(afterClose),
  };
  // The generation's socket stays open: an idle one must not keep the process alive.
}

void main().then((result) => process.stdout.write(JSON.stringify(result)));
