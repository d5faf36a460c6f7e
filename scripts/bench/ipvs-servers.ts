/** Times the writing of virtual servers, over netlink and by ipvsadm, and their reading. Prints ServerTimes as JSON. */
import { execFileSync } from 'node:child_process';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { openServers } from '../../src/backends/ipvs/servers/driver';
import { printServerWrites } from '../../src/backends/ipvs/servers/ipvsadm-text';
import type { ServerWrite } from '../../src/backends/ipvs/servers/virtual-server';
import { runCommand } from '../../src/host/command';
import { clusterIP, otherPod } from './addresses';
import { podPort } from './cluster-objects';
import type { ServerTimes } from './measure-ipvs';

function makeWrites(services: number, endpoints: number): ServerWrite[] {
  return Array.from({ length: services }, (_, i): ServerWrite[] => {
    const server = `TCP ${clusterIP(1, i)}:80`;
    return [
      { op: 'add-server', server, options: '-s rr' },
      ...Array.from({ length: endpoints }, (_, j): ServerWrite => {
        const destination = `${otherPod(i * endpoints + j)}:${podPort}`;
        return { op: 'add-destination', server, destination, weight: 1 };
      }),
    ];
  }).flat();
}

/** Does the work, and returns how long it took and the longest time for which it held the event loop. */
async function longestHoldMs(work: () => Promise<unknown>): Promise<{ heldMs: number; tookMs: number }> {
  let [heldMs, turn, isDone] = [0, performance.now(), false];
  const started = turn;
  const watch = async (): Promise<void> => {
    while (!isDone) {
      await nextTurn();
      heldMs = Math.max(heldMs, performance.now() - turn);
      turn = performance.now();
    }
  };
  const watching = watch();
  await work();
  const tookMs = performance.now() - started;
  isDone = true;
  await watching;
  return { heldMs, tookMs };
}

async function main(services: number, endpoints: number): Promise<ServerTimes> {
  const driver = await openServers('IPv4', runCommand);
  const writes = makeWrites(services, endpoints);
  // Netlink comes first, while the guest's memory is still cold.
  const started = performance.now();
  await driver.apply(writes);
  const netlinkMs = performance.now() - started;
  const look = await longestHoldMs(() => driver.read());
  const found = (await driver.read()).servers.size;
  driver.close();
  if (found !== services) throw new Error(`found ${found} servers instead of ${services}`);
  execFileSync('ipvsadm', ['--clear']);
  const input = printServerWrites(writes, 'IPv4');
  const toolStarted = performance.now();
  execFileSync('ipvsadm', ['--restore'], { input });
  return { netlinkMs, toolMs: performance.now() - toolStarted, readMs: look.tookMs, heldMs: look.heldMs };
}

void main(Number(process.argv[2]), Number(process.argv[3])).then(
  (times) => process.stdout.write(JSON.stringify(times)),
  (error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  },
);
