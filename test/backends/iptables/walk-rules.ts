/** Follows a new connection through nat, as far as it decides who answers. */
import { cidrContains, parseCidr } from '../../../src/model/address';
import type { FakeIptables } from '../../support/fake-iptables';

export interface Packet {
  readonly src: string;
  readonly dst: string;
  readonly dport: number;
  readonly protocol?: 'tcp' | 'udp' | 'sctp';
  /** dst is an address of this node. */
  readonly dstLocal?: boolean;
  readonly srcLocal?: boolean;
  /** The lists of xt_recent that contain the client. */
  readonly known?: ReadonlySet<string>;
}

type Chains = ReadonlyMap<string, readonly string[]>;

/** Endpoint -> its probability. If the sum is less than 1, the rest is not redirected. */
export type Chances = Map<string, number>;

interface Rule {
  readonly chance: number;
  readonly matches: boolean;
  readonly target: string;
  readonly to: string;
}

function tokens(rule: string): string[] {
  return [...rule.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

function inCidr(text: string, address: string): boolean {
  const cidr = parseCidr(text.includes('/') ? text : `${text}/${address.includes(':') ? 128 : 32}`);
  return cidr !== undefined && cidrContains(cidr, address);
}

function read(rule: string, packet: Packet): Rule {
  let [matches, chance, target, to, not, list] = [true, 1, '', '', false, ''];
  const words = tokens(rule)[Symbol.iterator]();
  const next = (): string => words.next().value ?? '';
  const want = (is: boolean): void => {
    if (is === not) matches = false;
    not = false;
  };
  for (const word of words) {
    if (word === '!') not = true;
    else if (word === '-s') want(inCidr(next(), packet.src));
    else if (word === '-d') want(inCidr(next(), packet.dst));
    else if (word === '-p') want(next() === (packet.protocol ?? 'tcp'));
    else if (word === '--dport') {
      const [low, high = low] = next().split(':').map(Number) as [number, number?];
      want(packet.dport >= low && packet.dport <= high);
    } else if (word === '--dst-type') want(next() === 'LOCAL' && packet.dstLocal === true);
    else if (word === '--src-type') want(next() === 'LOCAL' && packet.srcLocal === true);
    else if (word === '--probability') chance = Number(next());
    else if (word === '--name') list = next();
    else if (word === '--to-destination') to = next();
    else if (word === '-j') target = next();
    else if (['-m', '--comment', '--mode', '--seconds', '--mask', '--set-xmark', '--or-mark'].includes(word)) next();
    else if (!['--update', '--rcheck', '--set', '--reap', '--rsource', '--random-fully'].includes(word))
      throw new Error(`what is ${word} in ${rule}`);
  }
  if (/--update|--rcheck/.test(rule) && packet.known?.has(list) !== true) matches = false;
  return { matches, chance, target, to };
}

function walk(chains: Chains, chain: string, packet: Packet, arriving: number, into: Chances): number {
  const rules = chains.get(chain);
  if (rules === undefined) throw new Error(`no chain ${chain}`);
  let left = arriving;
  for (const text of rules) {
    const rule = read(text, packet);
    if (!rule.matches) continue;
    const taken = left * rule.chance;
    left -= taken;
    if (rule.target === 'DNAT') into.set(rule.to, (into.get(rule.to) ?? 0) + taken);
    else if (chains.has(rule.target)) left += walk(chains, rule.target, packet, taken, into);
    else if (rule.target === 'MARK' || rule.target === '') left += taken;
    else if (rule.target === 'RETURN') return left + taken;
    else throw new Error(`what is -j ${rule.target}`);
    if (left === 0) break;
  }
  return left;
}

export function chancesIn(chains: Chains, packet: Packet, chain = 'PREROUTING'): Chances {
  const into: Chances = new Map();
  walk(chains, chain, packet, 1, into);
  return into;
}

export function chancesOf(tables: FakeIptables, packet: Packet): Chances {
  return chancesIn(tables.tables.get('nat') ?? new Map<string, string[]>(), packet);
}
