/**
 * Sets by the real ipset and kernel, beside kube-proxy's own commands, as JSON; with the argument `without-addon` as on a machine
 * that the addon has no prebuilt file for.
 */
import { execFileSync } from 'node:child_process';
import { isDeepStrictEqual } from 'node:util';
import { destroySets, SetDriver } from '../../../src/backends/ipvs/sets/driver';
import {
  ipPortElement,
  knownSets,
  ownSets,
  setName,
  type SetName,
  setNames,
} from '../../../src/backends/ipvs/sets/names';
import {
  printSetAdditions,
  printSetRemovals,
  type SavedSets,
  SetParser,
} from '../../../src/backends/ipvs/sets/ipset-text';
import { SetContents } from '../../../src/backends/ipvs/sets/contents';
import { runCommand } from '../../../src/host/command';
import { families, type Family } from '../../../src/model/address';

const ipset = (...args: string[]): string => execFileSync('ipset', args, { encoding: 'utf8', stdio: 'pipe' });
const unlocked = (file: string, args: readonly string[]): { file: string; args: readonly string[] } => ({ file, args });

/** `ipset create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536 -exist`, as kube-proxy calls it. */
function createAsKubeProxy(): string[] {
  const commands = families.flatMap((family) =>
    setNames.flatMap((set) => {
      if (ownSets.has(set)) return [];
      const name = setName(family, set);
      const type = knownSets.get(name)?.type ?? '';
      const inet = family === 'IPv4' ? 'inet' : 'inet6';
      const parameters = type === 'bitmap:port' ? 'range 0-65535' : `family ${inet} hashsize 1024 maxelem 65536`;
      return `ipset create ${name} ${type} ${parameters} -exist || echo ${name}`;
    }),
  );
  return execFileSync('sh', ['-c', commands.join('\n')], { encoding: 'utf8' })
    .split('\n')
    .filter(Boolean);
}

class Written {
  readonly contents: SetContents;
  readonly driver: SetDriver;

  constructor(
    readonly family: Family,
    limit?: number,
  ) {
    this.contents = new SetContents(family, limit);
    this.driver = new SetDriver(family, runCommand, unlocked);
  }

  /** How many elements were read, and what then had to be written. */
  async sync(): Promise<{ read: number; added: number; deleted: number }> {
    const saved = await this.driver.read();
    const read = saved.elements.size;
    this.contents.replaceObserved(saved);
    const writes = this.contents.pendingWrites();
    if (writes === undefined) return { read, added: 0, deleted: 0 };
    await this.driver.restore(printSetAdditions(writes));
    await this.driver.restore(printSetRemovals(writes));
    this.contents.setApplied(writes);
    return { read, added: writes.additions.size, deleted: writes.deletionsFirst.length + writes.deletions.length };
  }
}

const elements: Readonly<Record<Family, readonly (readonly [SetName, string, string?])[]>> = {
  IPv4: [
    ['KUBE-CLUSTER-IP', '10.96.0.10,tcp:80'],
    ['KUBE-CLUSTER-IP', '10.96.0.10,udp:53'],
    ['KUBE-CLUSTER-IP', '10.96.0.10,sctp:9999'],
    ['KUBE-LOOP-BACK', '10.244.1.2,tcp:8080,10.244.1.2'],
    ['KUBE-LOAD-BALANCER-SOURCE-CIDR', '203.0.113.5,tcp:80,192.0.2.0/24'],
    ['KUBE-LOAD-BALANCER-SOURCE-CIDR', '203.0.113.5,tcp:80,192.0.2.1'],
    ['KUBE-LOAD-BALANCER-SOURCE-CIDR', '203.0.113.5,tcp:80,128.0.0.0/1'],
    ['KUBE-NODE-PORT-TCP', '30080'],
    ['KUBE-NODE-PORT-SCTP-HASH', '192.168.88.11,sctp:30081'],
    ['KUBE-IPVS-IPS', '10.96.0.10'],
    ['KUBE-IPVS-LOCAL', '203.0.113.5,tcp:80', 'skbmark 0x100001'],
  ],
  IPv6: [
    ['KUBE-CLUSTER-IP', 'fd96::10,tcp:80'],
    ['KUBE-CLUSTER-IP', 'fd96::1:0:0:1,udp:53'],
    ['KUBE-CLUSTER-IP', '::10.96.0.10,sctp:9999'],
    ['KUBE-LOOP-BACK', 'fd44:1::2,tcp:8080,fd44:1::2'],
    ['KUBE-LOAD-BALANCER-SOURCE-CIDR', 'fd00::5,tcp:80,fd01::/64'],
    ['KUBE-LOAD-BALANCER-SOURCE-CIDR', 'fd00::5,tcp:80,fd01::1'],
    ['KUBE-NODE-PORT-UDP', '30080'],
    ['KUBE-NODE-PORT-LOCAL-SCTP-HASH', 'fd00::11,sctp:30081'],
    ['KUBE-IPVS-IPS', 'fd96::10'],
    ['KUBE-IPVS-LOCAL', 'fd00::5,tcp:80', 'skbmark 0x300001'],
  ],
};

async function tryFamily(family: Family): Promise<unknown> {
  const written = new Written(family);
  for (const [set, entry, options] of elements[family]) written.contents.add(set, entry, options);
  const first = await written.sync();
  const second = await written.sync();
  const [set, entry] = elements[family].at(-1) ?? ['KUBE-IPVS-IPS', ''];
  written.contents.remove(set, entry);
  written.contents.add(set, entry, 'skbmark 0x100009');
  const remarked = await written.sync();
  // Somebody else is at work: what is to be added is there, and what is to be deleted is gone.
  const [, gone] = elements[family][0] ?? ['', ''];
  ipset('del', setName(family, 'KUBE-CLUSTER-IP'), gone);
  ipset('add', setName(family, 'KUBE-IPVS-IPS'), family === 'IPv4' ? '10.96.0.99' : 'fd96::99');
  written.contents.remove('KUBE-CLUSTER-IP', gone);
  written.contents.add('KUBE-IPVS-IPS', family === 'IPv4' ? '10.96.0.99' : 'fd96::99');
  const writes = written.contents.pendingWrites();
  if (writes !== undefined) {
    await written.driver.restore(printSetAdditions(writes));
    await written.driver.restore(printSetRemovals(writes));
  }
  const last = await written.sync();
  return { first, second, remarked, meanwhile: writes?.deletions.length, last, isRead: await isReadAsSaved(written) };
}

/** Whether what we read is what ipset prints. */
async function isReadAsSaved({ family, driver }: Written): Promise<boolean> {
  const parser = new SetParser(family);
  ipset('save').split('\n').forEach(parser.line);
  const sorted = ({ sets, elements }: SavedSets): unknown => [[...sets].sort(), [...elements].sort()];
  return isDeepStrictEqual(sorted(await driver.read()), sorted(parser.result()));
}

/** More ClusterIPs than a set may have here, and fewer again. */
async function outgrow(): Promise<unknown> {
  const written = new Written('IPv4', 1_000);
  for (const [set, entry, options] of elements.IPv4) written.contents.add(set, entry, options);
  const element = (n: number): string => ipPortElement(`10.100.${n >> 8}.${n & 255}`, 'TCP', 80);
  for (let n = 0; n < 1_500; n++) written.contents.add('KUBE-CLUSTER-IP', element(n));
  const grown = await written.sync();
  const nameOfGrown = written.contents.nameInForce('KUBE-CLUSTER-IP');
  const again = await written.sync();
  for (let n = 900; n < 1_500; n++) written.contents.remove('KUBE-CLUSTER-IP', element(n));
  const shrunk = await written.sync();
  for (let n = 0; n < 500; n++) written.contents.remove('KUBE-CLUSTER-IP', element(n));
  for (let n = 1_500; n < 2_000; n++) written.contents.add('KUBE-CLUSTER-IP', element(n));
  const changed = await written.sync();
  return { grown, nameOfGrown, again, shrunk, changed, last: await written.sync() };
}

async function main(): Promise<unknown> {
  const hasAddon = process.argv[2] !== 'without-addon';
  if (!hasAddon) process.env['npm_config_arch'] = 'none';
  const ours = { IPv4: await tryFamily('IPv4'), IPv6: await tryFamily('IPv6') };
  if (!hasAddon) return { ours };
  const kubeProxyOverOurs = createAsKubeProxy();
  const outgrown = await outgrow();
  const matching = ['-t', 'mangle', '-A', 'INPUT', '-m', 'set', '--match-set', 'KUBE-IPVS-IPS', 'dst', '-j', 'ACCEPT'];
  execFileSync('iptables', matching);
  const cleaned = await destroySets(runCommand);
  execFileSync('iptables', ['-t', 'mangle', '-F', 'INPUT']);
  await destroySets(runCommand);
  ipset('create', 'KUBE-CLUSTER-IP', 'hash:ip');
  const foreign = String(await new Written('IPv4').driver.read().catch((error: unknown) => error));
  ipset('destroy', 'KUBE-CLUSTER-IP');
  const kubeProxyAlone = createAsKubeProxy();
  const taken = new Written('IPv4');
  const oursOverKubeProxy = await taken.sync();
  return {
    ours,
    kubeProxyOverOurs,
    outgrown,
    cleaned,
    foreign,
    kubeProxyAlone,
    oursOverKubeProxy,
    left: ipset('list', '-name'),
  };
}

void main().then((result) => process.stdout.write(JSON.stringify(result)));
