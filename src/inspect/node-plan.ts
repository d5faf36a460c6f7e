/** The Plan of a node, once: from files or from an API server. */
import { nodeConfigOf } from '../config/node-config';
import type { ProxyConfiguration } from '../config/configuration';
import { lineProblem } from '../config/texts';
import { readStandardInput } from '../host/files';
import type { Family } from '../model/address';
import type { ClusterState, Node } from '../model/cluster';
import { ClusterStore } from '../model/cluster-store';
import { planNodeSettings } from '../planner/node-settings';
import type { Plan } from '../planner/plan';
import { planCluster } from '../planner/plan-cluster';
import { UserError } from '../model/user-error';
import { modes } from '../modes/modes';
import { ManifestSource } from '../sources/manifests/manifest-source';
import type { Source } from '../sources/source';
import type { Logger } from '../telemetry/log';
import { listOnce, openKubernetes, startSource } from '../sources/open-source';

export interface NodeRequest {
  /** Files and folders, `-` is standard input; empty: an API server. */
  readonly files: readonly string[];
  /** In any case; '': the only one that there is. */
  readonly node: string;
  /** Asked where no name was given. */
  readonly nodeOf?: (cluster: ClusterState) => string;
  readonly families: readonly Family[];
  /** Canonical: of the node's interfaces. Without them its addresses by the API are all that is known. */
  readonly hostAddresses?: readonly string[];
}

export interface NodePlans {
  /** In the order of the families. */
  readonly plans: readonly Plan[];
  /** '': a node without pods. */
  readonly nodeName: string;
  readonly cluster: ClusterState;
  /** The node's, of both families, as far as they are known. */
  readonly hostAddresses: readonly string[];
}

/** Throws UserError where the cluster cannot be read. */
export async function planNode(
  request: NodeRequest,
  configuration: ProxyConfiguration,
  log: Logger,
): Promise<NodePlans> {
  const store = new ClusterStore(Date.now());
  await listOnce(await openSource(request, configuration, log, false), store, log);
  return planFrom(store, request, configuration, log);
}

export interface FollowedNode {
  /** As of now. */
  plan(hostAddresses: readonly string[] | undefined): NodePlans;
  stop(): Promise<void>;
}

/** As planNode, and up to date from then on. */
export async function followNode(
  request: NodeRequest,
  configuration: ProxyConfiguration,
  log: Logger,
): Promise<FollowedNode> {
  const source = await openSource(request, configuration, log, true);
  const store = new ClusterStore(Date.now());
  try {
    await startSource(source, store, log);
  } catch (error) {
    await source.stop();
    throw error;
  }
  return {
    plan: (hostAddresses) =>
      planFrom(store, { ...request, ...(hostAddresses && { hostAddresses }) }, configuration, log),
    stop: () => source.stop(),
  };
}

function planFrom(
  store: ClusterStore,
  request: NodeRequest,
  configuration: ProxyConfiguration,
  log: Logger,
): NodePlans {
  const what = lineProblem(request.node);
  if (what !== undefined) throw new UserError(`--node: ${what}`);
  const wanted = (request.node.trim() || request.nodeOf?.(store) || '').toLowerCase();
  const node = chooseNode(wanted, store, log);
  const nodeName = node?.name ?? wanted;
  const hostAddresses = request.hostAddresses ?? node?.addresses ?? [];
  const { settings, warnings } = planNodeSettings(
    nodeConfigOf(configuration, nodeName, modes[configuration.mode]),
    node,
    hostAddresses,
  );
  for (const { kind, message } of warnings) log.warn({ kind }, message);
  const plans = request.families.map((family) => planCluster(store, family, settings));
  return { plans, nodeName, cluster: store, hostAddresses };
}

async function openSource(
  request: NodeRequest,
  configuration: ProxyConfiguration,
  log: Logger,
  watch: boolean,
): Promise<Source> {
  if (request.files.length === 0) return openKubernetes(configuration, request.node, log);
  const paths = request.files.filter((path) => path !== '-');
  const texts = paths.length === request.files.length ? [] : [{ path: '-', text: await readStandardInput() }];
  return ManifestSource.open({ paths, texts, watch });
}

/** The node that was named, or the only one given. */
function chooseNode(name: string, store: ClusterStore, log: Logger): Node | undefined {
  if (name !== '') {
    const node = store.nodes.get(name);
    if (node === undefined)
      log.warn({ node: name }, 'no Node of that name was given: its zone, addresses and podCIDRs are unknown');
    return node;
  }
  const [first, second] = store.nodes.values();
  if (second === undefined && first !== undefined) return first;
  const why = first === undefined ? 'no Node was given' : `${store.nodes.size} Nodes were given`;
  log.warn(`${why}: this is a node that has no pods; --node NAME says whose rules are meant`);
  return undefined;
}
