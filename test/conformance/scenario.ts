/**
 * The conformance table: the state of the cluster, step by step, and what must then happen to packets. All backends share it, and
 * test/kernel runs it on a real kernel.
 */
import type { FakeFaults } from '../support/fake-api-faults';
import type { Answer } from '../support/prober';
import type { Place } from '../support/lab/topology';

export type Mode = 'iptables' | 'ipvs' | 'nftables';

/** A Kubernetes API object as JSON. */
export interface ClusterObject {
  readonly kind: string;
  readonly apiVersion: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** Names of the places and their addresses: test/support/lab/topology.ts. */
export type Probe =
  | {
      readonly from: Place;
      readonly to: string;
      readonly port: number;
      readonly proto?: 'tcp' | 'udp';
      readonly count?: number;
      /** A fixed source port. */
      readonly sport?: number;
      /** A fixed source address. */
      readonly src?: string;
    }
  /** A GET. `json`: the keys of the body to compare. */
  | { readonly from: Place; readonly http: string; readonly json?: readonly string[] }
  | { readonly from: Place; readonly ping: string }
  /** Opens a connection and keeps it; `held` asks it again, and it must be the same pod that answers. */
  | { readonly from: Place; readonly hold: string; readonly to: string; readonly port: number }
  | { readonly held: string };

export interface ProbeResult {
  /** The outcome of all connections, or a list if they differed. */
  readonly outcome?: string | readonly string[];
  /** `pod:port`, sorted. */
  readonly backends?: readonly string[];
  /** Client addresses that the pods saw, sorted. */
  readonly sources?: readonly string[];
  readonly status?: number;
  readonly json?: unknown;
}

export interface Expectation {
  /** recorded: kube-proxy did exactly this. wanted: a key left out may be anything, and a list of outcomes means any of them. */
  readonly kind: 'recorded' | 'wanted';
  readonly result: ProbeResult;
}

export interface CheckedProbe {
  readonly probe: Probe;
  readonly expectation: Expectation;
  /** Modes in which something else is right. */
  readonly byMode?: Readonly<Partial<Record<Mode, Expectation>>>;
}

export interface Step {
  /** All objects of the cluster from now on, apart from the nodes. If absent, they stay as before. */
  readonly objects?: readonly ClusterObject[];
  /** Shell commands on the node, after the objects; $IPTABLES and $IP6TABLES are the tools of the variant under test. */
  readonly run?: readonly string[];
  /** The proxy is stopped before this step's objects and started after them. */
  readonly restart?: boolean;
  readonly probes: readonly CheckedProbe[];
}

export interface Scenario {
  readonly name: string;
  readonly about: string;
  /** The modes in which it makes sense. Default: all. */
  readonly modes?: readonly Mode[];
  /** Fields of KubeProxyConfiguration. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Of the API server. */
  readonly faults?: FakeFaults;
  readonly steps: readonly Step[];
}

/** Keeps only what is the same in every run: outcomes, the pods that answered, and the sources that they saw. */
export function summarizeAnswers(answers: readonly Answer[]): ProbeResult {
  const sorted = (texts: readonly string[]): string[] => [...new Set(texts)].sort();
  const outcomes = sorted(answers.map(({ outcome }) => outcome));
  const outcome = outcomes.length === 1 ? (outcomes[0] ?? '') : outcomes;
  const replies = answers.filter((answer) => answer.outcome === 'ok');
  if (replies.length === 0) return { outcome };
  return {
    outcome,
    backends: sorted(replies.map(({ pod, port }) => `${pod}:${port}`)),
    sources: sorted(replies.map(({ source }) => source)),
  };
}

/** JSON with sorted keys, so that equal values have equal texts. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

export function meets({ kind, result }: Expectation, seen: ProbeResult): boolean {
  if (kind === 'recorded') return canonical(result) === canonical(seen);
  return (Object.keys(result) as (keyof ProbeResult)[]).every((key) => {
    const wanted = result[key];
    if (key === 'outcome' && Array.isArray(wanted)) return wanted.includes(seen.outcome);
    return canonical(wanted) === canonical(seen[key]);
  });
}

export function printProbe(probe: Probe): string {
  if ('held' in probe) return `held connection ${probe.held}`;
  if ('hold' in probe) return `${probe.from} holds a connection to ${probe.to} ${probe.port}`;
  if ('http' in probe) return `${probe.from} GET ${probe.http}`;
  if ('ping' in probe) return `${probe.from} ping ${probe.ping}`;
  return `${probe.from} -> ${probe.to} ${probe.proto ?? 'tcp'} ${probe.port}`;
}
