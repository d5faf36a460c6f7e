/** What the kernel counted in every namespace of a side: each packet that it let go of is in one of these. */
import { readFileSync } from 'node:fs';
import type { SoakLab } from './lab';
import { soakPlaces } from './topology';

/** By `place: counter`. */
export type Counters = ReadonlyMap<string, number>;

/** Of /proc/net/netstat and /proc/net/snmp, as nstat names them. */
const told = [
  'TcpExtListenOverflows',
  'TcpExtListenDrops',
  'TcpExtTCPReqQFullDrop',
  'TcpExtTCPBacklogDrop',
  'TcpExtTCPSynRetrans',
  'TcpExtTCPTimeouts',
  'TcpRetransSegs',
  'TcpAttemptFails',
  'TcpInErrs',
  'IpInDiscards',
  'IpOutDiscards',
  'IpOutNoRoutes',
  'IpInAddrErrors',
] as const;

/** Of `conntrack -S`. */
const ofTracker = ['insert_failed', 'drop', 'early_drop', 'error', 'clash_resolve', 'chaintoolong'] as const;

/** Packets that the kernel dropped, for want of room or time, and not by a rule: a lost connection may be one of them. */
const losing =
  /^(node|node2|router|[abd]|c\d): (TcpExtListen(Overflows|Drops)|TcpExtTCP(ReqQFull|Backlog)Drop|Ip(In|Out)Discards|IpOutNoRoutes|IpInAddrErrors|conntrack (insert_failed|drop|early_drop|chaintoolong)|device drops)$|^machine: packets dropped for want of time$/;

export async function readCounters(lab: SoakLab): Promise<Counters> {
  const all = await Promise.all(
    soakPlaces.map(async (place) => {
      const text = await lab.run(place, 'cat', ['/proc/net/netstat', '/proc/net/snmp', '/proc/net/dev']);
      const tracked = await lab.run(place, 'conntrack', ['-S']).catch(() => '');
      const devices = place === 'node' ? parseReceived(text) : [];
      return [
        ...parseNstat(text),
        ...parseTracker(tracked),
        ['device drops', parseDevices(text)] as const,
        ...devices,
      ].map(([name, value]) => [`${place}: ${name}`, value] as const);
    }),
  );
  const rules = parseDropRules(await lab.run('node', 'iptables-nft-save', ['-c']));
  return new Map([...all.flat(), ...rules, ['machine: packets dropped for want of time', droppedByMachine()]]);
}

/** Those that moved, most first. */
export function movedCounters(before: Counters, after: Counters): [name: string, more: number][] {
  return [...after]
    .map(([name, value]): [string, number] => [name, value - (before.get(name) ?? 0)])
    .filter(([, more]) => more > 0)
    .sort(([, a], [, b]) => b - a);
}

export function canLose(name: string): boolean {
  return losing.test(name);
}

/** `rule: filter -A KUBE-PROXY-FIREWALL ... -j DROP`, with its packets. */
export function isRule(name: string): boolean {
  return name.startsWith('rule: ');
}

function parseNstat(text: string): [string, number][] {
  const wanted = new Set<string>(told);
  const lines = text.split('\n').filter((line) => /^(TcpExt|Tcp|Ip): /.test(line));
  const found: [string, number][] = [];
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [title = '', ...names] = (lines[i] ?? '').split(' ');
    const [, ...values] = (lines[i + 1] ?? '').split(' ');
    for (const [at, name] of names.entries()) {
      const full = `${title.slice(0, -1)}${name}`;
      if (wanted.has(full)) found.push([full, Number(values[at])]);
    }
  }
  return found;
}

/** A line a CPU: `cpu=0 found=1 invalid=0 insert=0 insert_failed=2 drop=2 ...`. */
function parseTracker(text: string): [string, number][] {
  return ofTracker.map((name) => {
    const values = [...text.matchAll(new RegExp(`\\b${name}=(\\d+)`, 'g'))].map(([, value]) => Number(value));
    return [`conntrack ${name}`, values.reduce((sum, value) => sum + value, 0)];
  });
}

/** Received and sent, of all devices. */
function parseDevices(text: string): number {
  const lines = [...text.matchAll(/^ *[\w-]+: *(\d[\d ]*)$/gm)].map(([, numbers = '']) =>
    numbers.split(/ +/).map(Number),
  );
  return lines.reduce((sum, values) => sum + (values[3] ?? 0) + (values[11] ?? 0), 0);
}

/** That both uplinks are in use. */
function parseReceived(text: string): [string, number][] {
  return [...text.matchAll(/^ *(eth\d): *\d+ +(\d+) /gm)].map(([, device = '', packets]) => [
    `packets in by ${device}`,
    Number(packets),
  ]);
}

function parseDropRules(saved: string): [string, number][] {
  let table = '';
  return saved.split('\n').flatMap((line): [string, number][] => {
    if (line.startsWith('*')) table = line.slice(1);
    const [, packets, rule] = /^\[(\d+):\d+\] (-A .* -j (?:DROP|REJECT).*)$/.exec(line) ?? [];
    return rule === undefined ? [] : [[`rule: ${table} ${rule}`, Number(packets)]];
  });
}

/** No CPU had the time to take them from a device's queue: of the whole machine. */
function droppedByMachine(): number {
  const cpus = readFileSync('/proc/net/softnet_stat', 'utf8').trim().split('\n');
  return cpus.reduce((sum, cpu) => sum + Number.parseInt(cpu.split(' ')[1] ?? '0', 16), 0);
}
