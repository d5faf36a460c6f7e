/** What netlink tells in a fresh network namespace, as JSON. */
import { execFileSync } from 'node:child_process';
import { NfGeneration } from '../../src/host/nf-generation';
import { NetlinkError, NetlinkSocket } from '../../src/host/netlink';

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
