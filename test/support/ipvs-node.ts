/** The lab's node in IPVS mode: what is in its kernel, and what kube-proxy had left there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { forgetProxy } from './lab/forget-proxy';
import type { Lab } from './lab/lab';
import { sortedRules } from './sorted-rules';

const kinds = ['addr', 'ipset', 'ipvs', 'v4.rules', 'v6.rules'] as const;

/** What `ip -o address show dev kube-ipvs0`, `ipset save`, `ipvsadm -Sn` and iptables-save printed on a node of kube-proxy 1.36.2. */
function readRecording(name: string, kind: (typeof kinds)[number]): string {
  return readFileSync(join('test', 'recorded', 'ipvs', `${name}.${kind}`), 'utf8');
}

/** What kube-proxy's start and its syncs leave, apart from what is recorded: its sysctls, and no counters. */
const startKubeProxy = `
sysctl -qw net.ipv4.vs.conntrack=1 net.ipv4.vs.expire_nodest_conn=1 net.ipv4.vs.expire_quiescent_template=1 net.ipv4.ip_forward=1
ip link add kube-ipvs0 type dummy`;

/** The text of a here-document. */
const feed = (tool: string, input: string): string => `${tool} <<'END'\n${input.trimEnd()}\nEND`;

/** Each part is separate, so that a difference shows where it is. */
export interface IpvsState {
  readonly servers: readonly string[];
  readonly addresses: readonly string[];
  readonly sets: readonly string[];
  readonly rules: readonly string[];
}

const sections = ['ipvsadm -Sn', 'ip -o address show dev kube-ipvs0', 'ipset save', 'iptables-save', 'ip6tables-save'];
const divider = '----';

export class IpvsNode {
  constructor(private readonly lab: Lab) {}

  async shell(script: string): Promise<string> {
    return (await this.lab.run('node', 'sh', ['-e'], script)).stdout;
  }

  /** Makes it a node on which kube-proxy has worked. */
  async loadRecording(name: string): Promise<void> {
    const [addr, ipset, ipvs, v4, v6] = kinds.map((kind) => readRecording(name, kind));
    const addresses = [...(addr ?? '').matchAll(/inet6? (\S+)/g)].map(
      ([, address]) => `address add ${address} dev kube-ipvs0`,
    );
    await this.shell(
      [
        startKubeProxy,
        feed('ip -batch -', addresses.join('\n')),
        feed('ipset restore', ipset ?? ''),
        feed('iptables-restore', v4 ?? ''),
        feed('ip6tables-restore', v6 ?? ''),
        feed('ipvsadm -R', ipvs ?? ''),
      ].join('\n'),
    );
  }

  async forget(): Promise<void> {
    await forgetProxy(this.lab);
  }

  /** Everything that a proxy in IPVS mode writes, except sysctls, in an order that does not depend on when it was written. */
  async state(): Promise<IpvsState> {
    const shown = await this.shell(
      sections.map((command) => `${command} 2>/dev/null || true; echo ${divider}`).join('\n'),
    );
    const [servers = '', addresses = '', sets = '', ...rules] = shown.split(`${divider}\n`);
    const sorted = (text: string): string[] => text.split('\n').filter(Boolean).sort();
    return {
      servers: sorted(servers),
      addresses: [...addresses.matchAll(/inet6? (\S+)/g)].map(([, address]) => address ?? '').sort(),
      sets: sorted(sets.replaceAll(/ (hashsize|bucketsize|initval) \S+/g, '')),
      rules: rules.flatMap((save) => sortedRules(save)),
    };
  }

  /** The weights of a TCP server's destinations, by `address:port`. */
  async weights(server: string): Promise<Readonly<Record<string, number>>> {
    const lines = (await this.shell('ipvsadm -Sn')).split('\n').filter((line) => line.startsWith(`-a -t ${server} `));
    return Object.fromEntries(
      lines.map((line) => {
        const [, destination = '', weight] = /-r (\S+) .*-w (\d+)/.exec(line) ?? [];
        return [destination, Number(weight)];
      }),
    );
  }
}
