/** What the driver does with virtual servers in a new network namespace of a kernel with IPVS, as JSON. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { openServers, openTool, ServersDriver } from '../../../src/backends/ipvs/servers/driver';
import { printServer, printServerWrites } from '../../../src/backends/ipvs/servers/ipvsadm-text';
import type { ServerWrite } from '../../../src/backends/ipvs/servers/virtual-server';
import { runCommand, type RunCommand } from '../../../src/host/command';
import { schedulerNames, type SchedulerName } from '../../../src/model/scheduler';

/** Servers as others may write them, and as ours are. */
const texts: readonly (readonly [server: string, text: string])[] = [
  ['FWM 1048577', '-s sh -b sh-fallback\n10.244.1.2:8080 1'],
  ['SCTP 10.96.0.11:9999', '-s wrr\n10.244.1.2:1 3\n10.244.1.3:65535 65535'],
  ['TCP 10.96.0.10:80', '-s rr\n10.244.1.10:8080 1\n10.244.1.2:8080 0\n10.244.1.3:8080 1'],
  ['TCP 10.96.0.13:80', '-s mh -p 86400 -b mh-fallback,mh-port'],
  ['UDP 10.96.0.10:53', '-s rr -p 1\n10.244.9.9:53 1'],
];
const texts6: readonly (readonly [server: string, text: string])[] = [
  ['FWM 3145729', '-s rr\n[fd00:10:244:1::2]:8080 2'],
  ['TCP [fd00:96::a]:80', '-s sh -p 600 -b sh-port\n[fd00:10:244:1::2]:8080 1'],
];

function writesOf([server, text]: readonly [server: string, text: string]): ServerWrite[] {
  const [options = '', ...lines] = text.split('\n');
  return [
    { op: 'add-server', server, options },
    ...lines.map((line): ServerWrite => {
      const [destination = '', weight] = line.split(' ');
      return { op: 'add-destination', server, destination, weight: Number(weight) };
    }),
  ];
}

function flush(): void {
  execFileSync('ipvsadm', ['--clear']);
}

function saved(): string[] {
  return execFileSync('ipvsadm', ['--save', '--numeric'], { encoding: 'utf8' }).trimEnd().split('\n').sort();
}

async function failureOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error)),
  );
}

/** The same for both ways to the kernel. */
async function tryDriver(driver: ServersDriver, driver6: ServersDriver): Promise<unknown> {
  flush();
  await driver.apply(texts.flatMap(writesOf));
  await driver6.apply(texts6.flatMap(writesOf));
  const lines = [
    ...texts.map(([server, text]) => printServer(server, text, 'IPv4')),
    ...texts6.map(([server, text]) => printServer(server, text, 'IPv6')),
  ];
  const isSaved = JSON.stringify(saved()) === JSON.stringify(lines.join('').trimEnd().split('\n').sort());
  const read = await driver.read();
  const read6 = await driver6.read();

  // Everything again, edits of servers that do not exist, and deletions of servers that are already gone.
  const [server, destination] = ['TCP 10.96.0.20:80', '10.244.1.2:80'];
  await driver.apply([
    ...texts.flatMap(writesOf),
    { op: 'delete-server', server },
    { op: 'delete-destination', server, destination },
    { op: 'edit-server', server, options: '-s wlc' },
    { op: 'edit-destination', server, destination, weight: 7 },
    { op: 'delete-destination', server, destination: '10.244.1.99:80' },
    { op: 'edit-server', server: 'UDP 10.96.0.10:53', options: '-s lc' },
    { op: 'add-destination', server: 'UDP 10.96.0.10:53', destination: '10.244.9.9:53', weight: 0 },
  ]);
  const amended = await driver.read();

  const refusal = await failureOf(
    driver.apply([
      { op: 'add-server', server: 'TCP 10.96.0.30:80', options: '-s nosuch' },
      { op: 'add-destination', server: 'TCP 10.96.0.31:80', destination, weight: 1 },
      { op: 'add-server', server: 'TCP 10.96.0.32:80', options: '-s rr' },
    ]),
  );
  const afterRefusal = await driver.read();
  await driver.setTimeouts({ tcpSeconds: 1_000, tcpFinSeconds: 0, udpSeconds: 77 });
  const timeouts = execFileSync('ipvsadm', ['--list', '--timeout'], { encoding: 'utf8' }).trim();
  return {
    isSaved,
    servers: [...read.servers].sort(),
    servers6: [...read6.servers].filter(([key]) => !key.startsWith('FWM 104')).sort(),
    resting: read.resting,
    destinations: await driver.readDestinations('TCP 10.96.0.10:80'),
    destinationsOfNone: await driver.readDestinations('TCP 10.96.0.99:80'),
    amended: [amended.servers.get(server), amended.servers.get('UDP 10.96.0.10:53')],
    refusal,
    afterRefusal: [...afterRefusal.servers.keys()].filter((key) => key.includes('10.96.0.3')),
    timeouts,
  };
}

async function trySchedulers(driver: ServersDriver): Promise<unknown> {
  flush();
  // What a process leaves that is killed while it tries.
  await driver.apply([{ op: 'add-server', server: 'TCP 198.51.100.0:20000', options: '-s rr' }]);
  const has: string[] = [];
  for (const name of schedulerNames) if (await driver.hasScheduler(name)) has.push(name);
  const missing = await failureOf(driver.requireScheduler('nosuch' as SchedulerName));
  return { has, missing, left: readFileSync('/proc/net/ip_vs', 'latin1').split('\n').length };
}

/** Compares it with ipvsadm on the same lines, and measures the time. */
async function measure(driver: ServersDriver, services: number): Promise<unknown> {
  const writes = Array.from({ length: services }, (_, i) => {
    const server = `TCP 10.96.${i >> 8}.${i & 255}:80`;
    const lines = Array.from({ length: 10 }, (_, j) => `10.244.${(i * 10 + j) >> 8}.${(i * 10 + j) & 255}:8080 1`);
    return writesOf([server, ['-s rr', ...lines].join('\n')]);
  }).flat();
  flush();
  let start = performance.now();
  await driver.apply(writes);
  const netlinkMs = performance.now() - start;

  let held = 0;
  let turn = performance.now();
  const clock = setInterval(() => {
    held = Math.max(held, performance.now() - turn);
    turn = performance.now();
  }, 1);
  start = performance.now();
  const { servers } = await driver.read();
  const readMs = performance.now() - start;
  clearInterval(clock);

  flush();
  start = performance.now();
  execFileSync('ipvsadm', ['--restore'], { input: printServerWrites(writes, 'IPv4') });
  return {
    netlinkMs,
    toolMs: performance.now() - start,
    readMs,
    held,
    read: [...servers.values()].filter((text) => text.split('\n').length === 11).length,
  };
}

async function tryWithoutPermission(): Promise<string> {
  process.seteuid?.(65_534);
  try {
    return await failureOf(openServers('IPv4', runCommand));
  } finally {
    process.seteuid?.(0);
  }
}

/** The program by which the kernel loads the modules that netlink asks for. */
const moduleLoader = '/proc/sys/kernel/modprobe';

async function tryWithoutKernel(): Promise<unknown> {
  flush();
  const loader = readFileSync(moduleLoader, 'latin1');
  const names = (readFileSync('/proc/modules', 'latin1').match(/^(?:ip_vs\w*|xt_ipvs) /gm) ?? []).map((name) =>
    name.trim(),
  );
  execFileSync('modprobe', ['-r', ...names.filter((name) => name !== 'ip_vs'), 'ip_vs']);
  writeFileSync(moduleLoader, '/bin/false');
  // As in a container without the node's /lib/modules.
  const runWithoutModules: RunCommand = (file, args, options) =>
    runCommand(file, file === 'modprobe' ? ['-d', '/var/empty', ...args] : args, options);
  const failure = await failureOf(openServers('IPv4', runWithoutModules));
  const byModprobe = await failureOf(openServers('IPv4', runCommand));
  writeFileSync(moduleLoader, loader);
  return { failure, byModprobe };
}

async function tryWithoutTool(): Promise<string> {
  const run: RunCommand = (file, args, options) =>
    runCommand(file === 'ipvsadm' ? '/nowhere/ipvsadm' : file, args, options);
  return failureOf(openTool('IPv4', run));
}

async function main(): Promise<unknown> {
  const driver = await openServers('IPv4', runCommand);
  const driver6 = await openServers('IPv6', runCommand);
  const tool = new ServersDriver('IPv4', await openTool('IPv4', runCommand), runCommand);
  const tool6 = new ServersDriver('IPv6', await openTool('IPv6', runCommand), runCommand);
  const told = {
    netlink: await tryDriver(driver, driver6),
    tool: await tryDriver(tool, tool6),
    schedulers: await trySchedulers(driver),
    toolSchedulers: await trySchedulers(tool),
    figures: await measure(driver, Number(process.argv[2] ?? '200')),
    withoutPermission: await tryWithoutPermission(),
  };
  driver.close();
  driver6.close();
  return { ...told, withoutTool: await tryWithoutTool(), withoutKernel: await tryWithoutKernel() };
}

void main().then(
  (told) => process.stdout.write(JSON.stringify(told)),
  (error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  },
);
