/** The kernel's counters in every namespace of a side. Each packet that the kernel dropped is in one of them. */
import { readFileSync } from 'node:fs';
import type { SoakLab } from './lab';
import { soakPlaces } from './topology';

/** Values by `place: counter`. */
export type Counters = ReadonlyMap<string, number>;

/** Counters of /proc/net/netstat and /proc/net/snmp, as nstat names them. */
const nstatCounters = [
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

/** Counters of `conntrack -S`. */
const trackerCounters = ['insert_failed', 'drop', 'early_drop', 'error', 'clash_resolve', 'chaintoolong'] as const;

/** Counters of packets that the kernel dropped for lack of room or time, not because of a rule. They can explain a lost connection. */
const losing =
  /^(node|node2|router|[abd]|c\d): (TcpExtListen(Overflows|Drops)|TcpExtTCP(ReqQFull|Backlog)Drop|Ip(In|Out)Discards|IpOutNoRoutes|IpInAddrErrors|conntrack (insert_failed|drop|early_drop|chaintoolong)|device drops)$|^machine: packets dropped for lack of time$/;

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
  return new Map([...all.flat(), ...rules, ['machine: packets dropped for lack of time', droppedByMachine()]]);
}

/** Returns the counters that increased, the largest increase first. */
export function movedCounters(before: Counters, after: Counters): [name: string, more: number][] {
  return [...after]
    .map(([name, value]): [string, number] => [name, value - (before.get(name) ?? 0)])
    .filter(([, more]) => more > 0)
    .sort(([, a], [, b]) => b - a);
}

/** Whether the counter counts packets that the kernel dropped for lack of room or time. */
export function canLose(name: string): boolean {
  return losing.test(name);
}

/** Whether the counter is of a rule: `rule: filter -A KUBE-PROXY-FIREWALL ... -j DROP`. */
export function isRule(name: string): boolean {
  return name.startsWith('rule: ');
}

function parseNstat(text: string): [string, number][] {
  const wanted = new Set<string>(nstatCounters);
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

/** Sums up the lines, one per CPU: `cpu=0 found=1 invalid=0 insert=0 insert_failed=2 drop=2 ...`. */
function parseTracker(text: string): [string, number][] {
  return trackerCounters.map((name) => {
    const values = [...text.matchAll(new RegExp(`\\b${name}=(\\d+)`, 'g'))].map(([, value]) => Number(value));
    return [`conntrack ${name}`, values.reduce((sum, value) => sum + value, 0)];
  });
}

/** Returns the number of packets that all devices dropped, received and sent. */
function parseDevices(text: string): number {
  const lines = [...text.matchAll(/^ *[\w-]+: *(\d[\d ]*)$/gm)].map(([, numbers = '']) =>
    numbers.split(/ +/).map(Number),
  );
  return lines.reduce((sum, values) => sum + (values[3] ?? 0) + (values[11] ?? 0), 0);
}

/** Returns the packets that each uplink received, which show that both are in use. */
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

/** Returns the packets of the whole machine that no CPU had the time to take from the queue of a device. */
function droppedByMachine(): number {
  const cpus = readFileSync('/proc/net/softnet_stat', 'utf8').trim().split('\n');
  return cpus.reduce((sum, cpu) => sum + Number.parseInt(cpu.split(' ')[1] ?? '0', 16), 0);
}
