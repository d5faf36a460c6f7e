/** Session affinity with real connections, in a namespace that is the clients, the node and the endpoints at once. */
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { adoptClients, kubeProxyAffinitySet } from '../../src/backends/nftables/adopt-affinity';
import { TableWriter } from '../../src/backends/nftables/driver-write';
import type { Rule, TableWrite } from '../../src/backends/nftables/objects';
import {
  type AffinityList,
  affinityChain,
  clientsOf,
  renderAffinity,
} from '../../src/backends/nftables/render-affinity';
import { families, type Family } from '../../src/model/address';
import { protocolName } from '../../src/model/protocol';
import type { Frontend, PlanEndpoint, ServicePortPlan } from '../../src/planner/plan';
import { nft } from '../support/nft-listing';
import { clusterIP, endpoint, servicePort } from '../support/plans';

const affinitySeconds = 3;
const nets = {
  IPv4: { ip: 'ip', pod: '10.244.1.', client: '192.0.2.', vip: '10.96.0.', bits: 32, vips: '10.96.0.0/16' },
  IPv6: { ip: 'ip6', pod: 'fd44::', client: 'fd99::', vip: 'fd96::', bits: 128, vips: 'fd96::/16' },
} as const;
type Protocol = 'TCP' | 'UDP';

class Node {
  readonly #writer: TableWriter;
  readonly #net;

  constructor(
    readonly family: Family,
    readonly protocol: Protocol,
  ) {
    this.#writer = new TableWriter(family);
    this.#net = nets[family];
  }

  pod(n: number): PlanEndpoint {
    return endpoint(`${this.#net.pod}${n}`, 8080, n === 1);
  }

  client(n: number): string {
    return `${this.#net.client}${n}`;
  }

  /** Two frontends with the cluster's list, and a third one with the local list. */
  port(pods: readonly number[]): ServicePortPlan {
    const clusterEndpoints = pods.map((n) => this.pod(n));
    const frontend = (n: number, list: 'cluster' | 'local'): Frontend => ({
      ...clusterIP(`${this.#net.vip}${n}`),
      verdict: { kind: 'forward', endpoints: list },
      masquerade: 'never',
    });
    const frontends = [frontend(1, 'cluster'), frontend(2, 'cluster'), frontend(3, 'local')];
    const localEndpoints = clusterEndpoints.filter(({ isLocal }) => isLocal);
    const { protocol } = this;
    return servicePort('web', { protocol, frontends, clusterEndpoints, localEndpoints, affinitySeconds });
  }

  /** The elements that are there. */
  #served: readonly Extract<TableWrite, { op: 'add-elements' }>[] = [];

  /** Writes the rules for these pods over those that are there. */
  async serve(pods: readonly number[], before?: readonly TableWrite[]): Promise<void> {
    const port = this.port(pods);
    const lists = listsOf(port);
    const detector = { family: this.family, masqueradeMark: 0x4000, localDetector: { kind: 'none' } } as const;
    const { sets, elements, slots, chains } = renderAffinity(port, lists, detector);
    const endpoints = sets.filter(({ name }) => elements.has(name) || slots.has(name));
    const dispatch = port.frontends.map((frontend): Rule => {
      const chain = affinityChain(port, frontend, lists) ?? '';
      const to = { kind: 'address', side: 'destination', isNot: false, cidr: frontend.address } as const;
      return { statements: [to, { kind: 'protocol', protocol: protocolName(this.protocol) }, { kind: 'goto', chain }] };
    });
    const added = endpoints.map((set) => ({
      op: 'add-elements' as const,
      set,
      elements: elements.get(set.name) ?? (slots.get(set.name) ?? []).map((value, i) => ({ key: `${i}`, value })),
    }));
    await this.#writer.write([
      { op: 'add-table' },
      { op: 'add-chain', chain: { name: 'nat-output', base: { type: 'nat', hook: 'output', priority: -101 } } },
      ...[...chains.keys()].map((name) => ({ op: 'add-chain' as const, chain: { name } })),
      ...sets.map((set) => ({ op: 'add-set' as const, set })),
      ...this.#served.map((write) => ({ ...write, op: 'delete-elements' as const })),
      ...added,
      ...[...chains].map(([chain, rules]) => ({ op: 'set-rules' as const, chain, rules })),
      { op: 'set-rules', chain: 'nat-output', rules: dispatch },
      ...(before ?? []),
    ]);
    this.#served = added;
  }

  async clear(): Promise<void> {
    this.#served = [];
    await this.#writer.write([{ op: 'delete-table' }]);
  }

  close(): void {
    this.#writer.close();
  }

  /** The pod that each client reaches. */
  async ask(clients: readonly number[], vip = 1): Promise<readonly string[]> {
    const told: string[] = [];
    const to = `${this.#net.vip}${vip}`;
    for (const client of clients) told.push(await this.one(this.client(client), to));
    return told;
  }

  one(from: string, to: string): Promise<string> {
    return this.protocol === 'TCP' ? askTcp(from, to) : askUdp(from, to, this.family);
  }
}

function listsOf(port: ServicePortPlan): { readonly cluster: AffinityList; readonly local: AffinityList } {
  const list = (endpoints: readonly PlanEndpoint[]): AffinityList => ({
    pick: { kind: 'numgen', mode: 'random', modulus: Math.max(endpoints.length, 1) },
    values: endpoints.map(({ address, port: at }) => `${address} . ${at}`),
  });
  return { cluster: list(port.clusterEndpoints), local: list(port.localEndpoints) };
}

function askTcp(localAddress: string, host: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: 80, localAddress, timeout: 2000 });
    socket.once('data', (data) => resolve(data.toString()));
    socket.once('error', (error) => resolve(error.message));
    socket.once('timeout', () => resolve('timeout'));
    socket.once('close', () => resolve('closed'));
    for (const end of ['data', 'timeout'] as const) socket.once(end, () => socket.destroy());
  });
}

function askUdp(from: string, to: string, family: Family): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
    const timer = setTimeout(() => end('timeout'), 2000);
    const end = (told: string): void => {
      clearTimeout(timer);
      socket.close();
      resolve(told);
    };
    socket.once('message', (data) => end(data.toString()));
    socket.once('error', (error) => end(error.message));
    socket.bind(0, from, () => socket.send('?', 80, to));
  });
}

/** Each endpoint answers with its address. */
async function listen(family: Family): Promise<void> {
  const { pod, client, bits, vips } = nets[family];
  const ip = (...args: readonly string[]): Buffer => execFileSync('ip', [family === 'IPv4' ? '-4' : '-6', ...args]);
  for (let n = 1; n <= 3; n++) ip('address', 'add', `${pod}${n}/${bits}`, 'dev', 'lo');
  for (let n = 1; n <= 30; n++) ip('address', 'add', `${client}${n}/${bits}`, 'dev', 'lo');
  ip('route', 'add', vips, 'dev', 'lo');
  for (let n = 1; n <= 3; n++) {
    const address = `${pod}${n}`;
    await new Promise<void>((resolve) => {
      const server = createServer((socket) => socket.on('error', () => undefined).end(address));
      server.listen(8080, address, resolve).unref();
    });
    const socket = createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
    socket.on('message', (_, from) => socket.send(address, from.port, from.address));
    await new Promise<void>((resolve) => socket.bind(8080, address, resolve));
    socket.unref();
  }
}

const clients = Array.from({ length: 30 }, (_, i) => i + 1);

async function tell(node: Node): Promise<unknown> {
  await node.serve([1, 2, 3]);
  const first = await node.ask(clients);
  const again = await node.ask(clients);
  const otherWay = await node.ask(clients, 2);
  const active = clients.slice(0, 15);
  for (let second = 0; second <= affinitySeconds; second++) {
    await sleep(1000);
    await node.ask(active);
  }
  const later = await node.ask(clients);
  await node.serve([1, 2]);
  const without3 = await node.ask(clients);
  const local = await node.ask(clients, 3);
  const afterLocal = await node.ask(clients);
  const list = nft('list', 'ruleset');
  execFileSync('nft', ['-f', '-'], { input: `flush ruleset\n${list}` });
  const readBack = await node.ask(clients);
  const isJson = typeof JSON.parse(nft('--json', '--terse', 'list', 'ruleset')) === 'object';
  const parallel = await startAtOnce(node);
  await node.clear();
  const adopted = await adopt(node);
  await node.clear();
  return { first, again, otherWay, later, without3, local, afterLocal, readBack, isJson, parallel, adopted };
}

/** How many pods a new client reaches that starts six connections at the same time. */
async function startAtOnce(node: Node): Promise<readonly number[]> {
  await sleep((affinitySeconds + 1) * 1000);
  const told: number[] = [];
  for (const n of clients) {
    const from = node.client(n);
    const pods = await Promise.all(Array.from({ length: 6 }, () => node.one(from, `${nets[node.family].vip}1`)));
    told.push(new Set(pods).size);
  }
  return told;
}

/** Clients of kube-proxy's sets, and where they are then. */
async function adopt(node: Node): Promise<readonly string[]> {
  const port = node.port([1, 2, 3]);
  const set = kubeProxyAffinitySet(port, `${node.pod(2).address} . 8080`);
  const remembered = clients.map((n) => ({ address: node.client(n), remainingMs: 2000 }));
  const elements = adoptClients(port, listsOf(port), new Map([[set, remembered]]));
  await node.serve([1, 2, 3], [{ op: 'add-elements', set: clientsOf(port), elements }]);
  return node.ask(clients);
}

async function main(): Promise<unknown> {
  const told: Record<string, unknown> = {};
  for (const family of families) {
    await listen(family);
    for (const protocol of ['TCP', 'UDP'] as const) {
      const node = new Node(family, protocol);
      told[`${family} ${protocol}`] = await tell(node);
      node.close();
    }
  }
  return told;
}

void main().then((told) => {
  process.stdout.write(JSON.stringify(told), () => process.exit());
});
