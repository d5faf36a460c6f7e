/**
 * Every combination of frontend, traffic policy, source ranges and emptiness. There is one Service per combination, all of them in
 * one cluster. A client outside, a pod of the node and the node itself ask every frontend. The Plan alone says what is right
 * (expected-flows.ts), so it is the same in every mode.
 */
import PQueue from 'p-queue';
import { cidrContains, type Family, parseCidr } from '../../src/model/address';
import type { Frontend, Plan } from '../../src/planner/plan';
import type { Lab } from '../support/lab/lab';
import { addresses, type Place, places } from '../support/lab/topology';
import type { Answer } from '../support/prober';
import { type Client, type Flow, keyOf, promises } from './expected-flows';
import { type Endpoint, service, slice } from './objects';
import { PlannedCluster } from './planned-cluster';
import type { ClusterObject, Scenario } from './scenario';

const policies = ['Cluster', 'Local'] as const;
/** Ranges of the other family alone let everybody in. `allowing` has the client outside, the pod that asks and the node. */
const ranges = {
  none: [],
  allowing: ['192.168.88.0/24', '10.244.1.4/32', 'fd88::/64', 'fd44:1::4/128'],
  denying: ['172.30.0.0/16', 'fd30::/16'],
  ofIPv4: ['172.30.0.0/16'],
  ofIPv6: ['fd30::/16'],
} as const;
const draining = { ready: false, serving: true, terminating: true };
const emptiness = {
  here: ['a', 'd'],
  elsewhere: ['d', 'e'],
  nowhere: [],
  terminating: [
    ['a', draining],
    ['d', draining],
  ],
  'terminating elsewhere': [['d', draining]],
} as const satisfies Readonly<Record<string, readonly Endpoint[]>>;

const keys = <T extends object>(record: T): (keyof T)[] => Object.keys(record) as (keyof T)[];

export const combinations = policies.flatMap((internal) =>
  policies.flatMap((external) =>
    keys(ranges).flatMap((range) => keys(emptiness).map((endpoints) => ({ internal, external, range, endpoints }))),
  ),
);

const firstNodePort = 31_000;

function objectsOf(n: number): ClusterObject[] {
  const combination = combinations[n];
  if (combination === undefined) throw new Error(`there is no combination ${n}`);
  const { internal, external, range, endpoints } = combination;
  const name = `c${n}`;
  return [
    service({
      name,
      type: 'LoadBalancer',
      clusterIPs: [`10.96.1.${n + 1}`, `fd96::1:${(n + 1).toString(16)}`],
      ports: [{ port: 80, targetPort: 8080, nodePort: firstNodePort + n }],
      ingress: [{ ip: `203.0.113.${n + 1}` }, { ip: `2001:db8:1::1:${(n + 1).toString(16)}` }],
      spec: {
        internalTrafficPolicy: internal,
        externalTrafficPolicy: external,
        externalIPs: [`198.51.100.${n + 1}`, `2001:db8:1::2:${(n + 1).toString(16)}`],
        loadBalancerSourceRanges: [...ranges[range]],
      },
    }),
    slice(emptiness[endpoints], { service: name }),
    slice(emptiness[endpoints], { service: name, family: 'IPv6' }),
  ];
}

export const combinationObjects: readonly ClusterObject[] = combinations.flatMap((_, n) => objectsOf(n));

const clientPlaces = ['ext', 'c', 'node'] as const;

function clientAt(place: (typeof clientPlaces)[number], family: Family): Client {
  const device = place === 'node' ? '' : place === 'ext' ? 'eth0' : `veth${place}`;
  return { name: place, source: addresses[place][family], device };
}

export interface CombinationProbe {
  readonly from: Place;
  readonly to: string;
  readonly port: number;
  /** The combination and the kind of frontend, for messages. */
  readonly about: string;
  readonly expected: ExpectedAnswer;
}

/** What the client may hear. If it is an answer: which pods may give it, and whether they see the client's own address. */
export interface ExpectedAnswer {
  readonly outcomes: readonly Answer['outcome'][];
  readonly pods: readonly string[];
  readonly isMasqueraded: boolean;
}

const unserved = { pods: [], isMasqueraded: false };

/**
 * A client that the ranges keep out of a frontend without endpoints is refused or hears nothing: kube-proxy's modes differ in that.
 * A packet that no rule concerns goes on its way.
 */
function expectAnswer(flow: Flow, isKeptOut: boolean, family: Family): ExpectedAnswer {
  switch (flow.kind) {
    case 'untouched':
      return { ...unserved, outcomes: ['refused', 'timeout', 'error:EHOSTUNREACH', 'error:ENETUNREACH'] };
    case 'refused':
      return { ...unserved, outcomes: isKeptOut ? ['refused', 'timeout'] : ['refused'] };
    case 'dropped':
      return { ...unserved, outcomes: ['timeout'] };
    case 'forwarded': {
      const at = new Set(flow.endpoints.map(({ address }) => address));
      const pods = places.filter((place) => at.has(addresses[place][family]));
      return { outcomes: ['ok'], pods, isMasqueraded: flow.isMasqueraded };
    }
  }
}

/** Returns false for a frontend without ranges. */
function isKeptOut({ sourceRanges }: Frontend, { source }: Client): boolean {
  const isIn = (text: string): boolean => {
    const cidr = parseCidr(text);
    return cidr !== undefined && cidrContains(cidr, source);
  };
  return sourceRanges !== undefined && !sourceRanges.some(isIn);
}

function probesOf(plan: Plan, place: (typeof clientPlaces)[number]): CombinationProbe[] {
  const { family } = plan;
  const client = clientAt(place, family);
  const promised = promises(plan, client, addresses.node[family]);
  return combinations.flatMap((combination, n) => {
    const port = plan.services.get(`default/c${n}` as never)?.ports[0];
    if (port === undefined) throw new Error(`combination ${n} is not in the Plan`);
    return port.frontends.map((frontend) => {
      const to = frontend.kind === 'NodePort' ? addresses.node[family] : frontend.address;
      const [flow, ...others] = promised.get(keyOf({ address: to, port: frontend.port, protocol: 'tcp' }))?.flows ?? [];
      if (flow === undefined || others.length > 0) throw new Error(`${to} is not one frontend's`);
      return {
        from: place,
        to,
        port: frontend.port,
        about: `${frontend.kind} of ${JSON.stringify(combination)}`,
        expected: expectAnswer(flow, isKeptOut(frontend, client), family),
      };
    });
  });
}

/** Returns the probes for a proxy with this configuration. */
export function combinationProbes(config: Scenario['config']): CombinationProbe[] {
  const cluster = new PlannedCluster(config, [addresses.node.IPv4, addresses.node.IPv6, '10.244.1.1', 'fd44:1::1']);
  cluster.apply(combinationObjects);
  return Object.values(cluster.plans).flatMap((plan) => clientPlaces.flatMap((place) => probesOf(plan, place)));
}

/** The node's addresses towards its pods and towards all others. */
const nodeSources: ReadonlySet<string> = new Set([addresses.node.IPv4, addresses.node.IPv6, '10.244.1.1', 'fd44:1::1']);

function isRight({ expected, from }: CombinationProbe, answer: Answer): boolean {
  if (!expected.outcomes.includes(answer.outcome)) return false;
  if (answer.outcome !== 'ok') return true;
  const isFromNode = nodeSources.has(answer.source);
  return expected.pods.includes(answer.pod) && isFromNode === (expected.isMasqueraded || from === 'node');
}

/** Sends all probes, a few at a time. Returns one line per wrong answer. */
export async function probeCombinations(
  lab: Lab,
  probes: readonly CombinationProbe[],
  slow: number,
): Promise<string[]> {
  const queue = new PQueue({ concurrency: 48 });
  const wrong: string[] = [];
  const ask = async (probe: CombinationProbe): Promise<void> => {
    const { from, to, port, expected, about } = probe;
    const count = expected.pods.length > 1 ? 3 : 1;
    const answers = await lab.probe(from, { to, port, count, timeoutMs: 1000 + 300 * slow });
    const odd = answers.filter((answer) => !isRight(probe, answer));
    if (odd.length > 0)
      wrong.push(`${from} -> ${to} ${port}, ${about}: ${JSON.stringify(expected)}, here ${JSON.stringify(odd)}`);
  };
  await queue.addAll(probes.map((probe) => () => ask(probe)));
  return wrong.sort();
}
