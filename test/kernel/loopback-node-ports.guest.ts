/** NodePorts on ::1 in a new namespace: listeners that follow Plans, clients, and servers on other addresses that are the pods. */
import { once } from 'node:events';
import { execFileSync } from 'node:child_process';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Frontend, Plan, PlanEndpoint, ServicePlan, ServicePortPlan } from '../../src/planner/plan';
import { LoopbackNodePorts } from '../../src/servers/loopback-node-ports';
import { relayLimitsFor } from '../../src/servers/tcp-relay';
import { ProxyMetrics } from '../../src/telemetry/metrics';
import { recordLog, TestClock } from '../servers/listening';
import { clusterIP, endpoint, plan, service, servicePort } from '../support/plans';
import { until } from '../support/until';

const { log, lines } = recordLog();
const clock = new TestClock(0);
const metrics = new ProxyMetrics('test');
const ports = new LoopbackNodePorts({ clock, log, metrics, limits: { ...relayLimitsFor(1024), dialMs: 1000 } });
const pods = [1, 2, 3].map((n) => endpoint(`fd44::${n}`));

/** A pod says its address, then what it received. */
function startPod({ address, port }: PlanEndpoint): Server {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.write(`${address} `);
    socket.pipe(socket);
    socket.on('error', () => undefined);
  });
  return server.listen(port, address);
}

function web(name: string, nodePort: number, over: Partial<ServicePortPlan> = {}): ServicePlan {
  const frontend: Frontend = { ...clusterIP('', nodePort), kind: 'NodePort', masquerade: 'always' };
  return service([servicePort(name, { frontends: [frontend], clusterEndpoints: pods.slice(0, 1), ...over })]);
}

function planOf(...services: readonly ServicePlan[]): Plan {
  return plan('IPv6', services, { localhostNodePortsIPv6: true });
}

/** What a client on ::1 receives, or the code of the error if it gets no connection. */
async function ask(port: number, address = '::1'): Promise<string> {
  const socket = connect({ host: address, port, allowHalfOpen: true });
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk) => (text += String(chunk)));
  try {
    await once(socket, 'connect');
    socket.end('ping');
    await once(socket, 'end');
    return text;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  } finally {
    socket.destroy();
  }
}

async function metricLines(): Promise<readonly string[]> {
  const text = await metrics.print('nftables');
  return text.split('\n').filter((line) => line.includes('localhost_nodeport') && !line.startsWith('#'));
}

async function served(): Promise<unknown> {
  await ports.follow(plan('IPv6', [web('a', 30001)]));
  const notWanted = await ask(30001);
  const [a, b] = [web('a', 30001), web('b', 30002, { clusterEndpoints: pods.slice(1, 2) })];
  await ports.follow(planOf(a, b));
  const both = [await ask(30001), await ask(30002)];
  const onlyLoopback = await ask(30001, 'fd44::1');
  // One port is removed, and the other one gets another pod. Only the changed Services are named.
  const other = web('b', 30002, { clusterEndpoints: pods.slice(2) });
  await ports.follow(planOf(other), [a.key, b.key]);
  const changed = [await ask(30001), await ask(30002)];
  // Services that are not named stay as they are, until a call says that everything may be different.
  await ports.follow(planOf(), []);
  const unnamed = await ask(30002);
  await ports.follow(planOf());
  const anew = await ask(30002);
  return { notWanted, both, onlyLoopback, changed, unnamed, anew };
}

/** A port moves to another Service. A connection that is established stays where it is. */
async function moved(): Promise<unknown> {
  const [a, b] = [web('a', 30003), web('b', 30003, { clusterEndpoints: pods.slice(1, 2) })];
  await ports.follow(planOf(a));
  const socket = connect({ host: '::1', port: 30003, allowHalfOpen: true });
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk) => (text += String(chunk)));
  await until(() => text.length > 0);
  await ports.follow(planOf(a, b), [b.key]);
  const contested = await ask(30003);
  await ports.follow(planOf(b), [a.key]);
  const after = await ask(30003);
  await ports.follow(planOf(), [b.key]);
  const closed = await ask(30003);
  socket.end('still here');
  await once(socket, 'end');
  return { contested, after, closed, established: text };
}

async function balanced(): Promise<unknown> {
  const refusing = endpoint('fd44::1', 9);
  await ports.follow(planOf(web('many', 30004, { clusterEndpoints: [refusing, ...pods] })));
  const answers = new Set<string>();
  for (let i = 0; i < 60; i++) answers.add(await ask(30004));
  return [...answers].sort();
}

/** A client keeps its pod until the pod is removed, or until the client has been idle for too long. */
async function affinity(): Promise<unknown> {
  const sticky = (clusterEndpoints: readonly PlanEndpoint[]): Plan =>
    planOf(web('sticky', 30005, { clusterEndpoints, affinitySeconds: 60 }));
  await ports.follow(sticky(pods));
  const first = await ask(30005);
  const kept = new Set<string>();
  for (let i = 0; i < 20; i++) {
    void clock.sleep(50_000);
    clock.wake();
    kept.add(await ask(30005));
  }
  const left = pods.filter(({ address }) => !first.startsWith(`${address} `));
  await ports.follow(sticky(left));
  const second = await ask(30005);
  await ports.follow(sticky(pods));
  const back = await ask(30005);
  const later = new Set<string>();
  for (let i = 0; i < 40; i++) {
    void clock.sleep(61_000);
    clock.wake();
    later.add(await ask(30005));
  }
  return {
    keptFirst: [...kept].join() === first,
    movedOn: second !== first,
    keptSecond: back === second,
    forgotten: later.size,
  };
}

async function taken(): Promise<unknown> {
  const other = createServer((socket) => socket.destroy()).listen(30006, '::1');
  await once(other, 'listening');
  const from = lines.length;
  const plan = planOf(web('taken', 30006), web('free', 30007));
  await ports.follow(plan);
  await ports.follow(plan);
  const free = await ask(30007);
  const said = lines.slice(from).map(({ level, msg }) => `${level} ${msg}`);
  other.close();
  await once(other, 'close');
  clock.wake();
  await until(() => lines.some(({ msg }) => msg.includes('served on ::1 now')));
  return { free, said, after: await ask(30006), service: lines.at(-1)?.['service'] };
}

/** Without ::1 no port can be opened. There is one warning for all of them, and they are opened when the address exists. */
async function withoutLoopback(): Promise<unknown> {
  execFileSync('ip', ['address', 'del', '::1/128', 'dev', 'lo']);
  const from = lines.length;
  const plan = planOf(web('x', 30008), web('y', 30009));
  await ports.follow(plan);
  const said = lines.slice(from).map(({ level, msg }) => `${level} ${msg}`);
  execFileSync('ip', ['address', 'add', '::1/128', 'dev', 'lo']);
  await until(() => {
    clock.wake();
    return lines.some(({ msg }) => msg === 'NodePorts can be served on ::1 now');
  });
  await ports.follow(plan);
  return { said, after: [await ask(30008), await ask(30009)] };
}

async function main(): Promise<unknown> {
  for (const { address } of pods) execFileSync('ip', ['address', 'add', `${address}/128`, 'dev', 'lo', 'nodad']);
  const servers = pods.map(startPod);
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const told = {
    served: await served(),
    moved: await moved(),
    balanced: await balanced(),
    affinity: await affinity(),
    taken: await taken(),
    withoutLoopback: await withoutLoopback(),
    metrics: await metricLines(),
  };
  const socket: Socket = connect({ host: '::1', port: 30008 });
  await once(socket, 'data');
  const ended = once(socket, 'error');
  await ports.stop();
  return { ...told, stopped: [String((await ended)[0]), await ask(30008)] };
}

void main().then((told) => {
  process.stdout.write(JSON.stringify(told));
  process.exit();
});
