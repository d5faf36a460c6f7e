/** What the rules alone make of the first packet of a probe, in the words of the conformance table. */
import { cidrContains, type Family, familyOf, parseCidr } from '../../src/model/address';
import { addresses, crowd, echoPorts, nodeEchoPort, type Place, places, podsOf } from '../support/lab/topology';
import type { Answer } from '../support/prober';
import type { Outcome } from '../../src/trace/packet';
import { traceConnection } from '../../src/trace/trace-iptables';
import type { TracedNode } from '../support/trace-iptables-node';
import type { TracedTables } from '../../src/trace/iptables-tables';
import { type CheckedProbe, meets, printProbe, type Probe, summarizeAnswers } from './scenario';

interface FirstPacket {
  readonly from: Place;
  readonly to: string;
  readonly port: number;
  readonly proto?: 'tcp' | 'udp';
  readonly src?: string;
}

export class ProbeTracer {
  traced = 0;
  /** Probes that say nothing about first packets on this node. */
  readonly skipped: string[] = [];
  /** The largest number of rules that a packet walked. */
  rulesWalked = 0;
  /** Lists of xt_recent by client. */
  private readonly recent = new Map<string, ReadonlySet<string>>();

  constructor(private readonly node: TracedNode) {}

  /** Returns what differs from the expectation, or undefined if nothing does or the probe was skipped. */
  check({ probe, expectation }: CheckedProbe, tables: (family: Family) => TracedTables): string | undefined {
    const packet = firstPacketOf(probe);
    if (packet === undefined || !passesNode(packet)) {
      this.skipped.push(printProbe(probe));
      return undefined;
    }
    this.traced++;
    const { result } = expectation;
    const outcomes = this.trace(packet, tables(familyOf(packet.to)));
    if ('http' in probe) {
      const isServed = outcomes.every(({ kind }) => kind === 'local');
      return isServed === (result.status !== 0) ? undefined : `${printProbe(probe)}: ${JSON.stringify(outcomes)}`;
    }
    const seen = summarizeAnswers(outcomes.map(answerTo));
    const unfair = unequalShares(outcomes);
    if (unfair.length > 0) return `${printProbe(probe)}: unequal shares ${unfair.join(' ')}`;
    if (meets('hold' in probe ? { kind: 'wanted', result } : expectation, seen)) return undefined;
    return `${printProbe(probe)}: ${JSON.stringify(result)}, by the rules ${JSON.stringify(seen)}`;
  }

  private trace({ from, to, port, proto = 'tcp', src }: FirstPacket, tables: TracedTables): Outcome[] {
    const source = src ?? (from === 'node' ? this.node.sourceTo(to) : addresses[from][familyOf(to)]);
    const outcomes = traceConnection(tables, this.node, {
      protocol: proto,
      source,
      destination: to,
      port,
      device: deviceOf(from),
      recent: this.recent.get(source) ?? new Set(),
    });
    const [first, ...others] = outcomes.map(({ recent }) => recent);
    if (first === undefined) throw new Error('a packet without an outcome');
    if (others.some((recent) => [...recent].join() !== [...first].join()))
      throw new Error(`dice decide which pod ${source} is held to`);
    this.recent.set(source, first);
    this.rulesWalked = Math.max(this.rulesWalked, ...outcomes.map(({ rulesWalked }) => rulesWalked));
    return outcomes;
  }
}

function firstPacketOf(probe: Probe): FirstPacket | undefined {
  if ('to' in probe) return probe;
  if (!('http' in probe)) return undefined;
  const { hostname, port } = new URL(probe.http);
  return { from: probe.from, to: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

const isPodOfNode = (place: Place): boolean => (podsOf.node as readonly Place[]).includes(place);

/** Packets between other machines do not pass this node. */
function passesNode({ from, to }: FirstPacket): boolean {
  if (from === 'node' || isPodOfNode(from)) return true;
  const elsewhere = places.filter((place) => place !== 'node' && !isPodOfNode(place));
  return elsewhere.every((place) => addresses[place][familyOf(to)] !== to);
}

function deviceOf(from: Place): string {
  if (from === 'node') return '';
  return isPodOfNode(from) ? `veth${from}` : 'eth0';
}

const crowdCidr = parseCidr(crowd.network);

function placeOf(address: string): Place | undefined {
  if (crowdCidr !== undefined && cidrContains(crowdCidr, address)) return 'e';
  return places.find((place) => addresses[place][familyOf(address)] === address);
}

/** What the client hears of it. */
function answerTo({ kind, address, port, source }: Outcome): Answer {
  if (kind === 'refused') return { outcome: 'refused' };
  const pod = kind === 'local' ? 'node' : placeOf(address);
  if (kind === 'dropped' || pod === undefined) return { outcome: 'timeout' };
  const listens = pod === 'node' ? port === nodeEchoPort : (echoPorts as readonly number[]).includes(port);
  return listens ? { outcome: 'ok', pod, port, source, address } : { outcome: 'refused' };
}

/** Shares by destination, unless they are equal. */
function unequalShares(outcomes: readonly Outcome[]): string[] {
  const shares = new Map<string, number>();
  for (const { kind, address, port, probability } of outcomes) {
    const key = `${kind} ${address} ${port}`;
    shares.set(key, (shares.get(key) ?? 0) + probability);
  }
  const isFair = [...shares.values()].every((share) => Math.abs(share - 1 / shares.size) < 1e-6);
  return isFair ? [] : [...shares].map(([key, share]) => `${key}: ${share}`);
}
