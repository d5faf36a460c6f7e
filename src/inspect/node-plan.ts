/** Makes the Plan of a node, from files or from an API server. */
import type { ProxyConfiguration } from '../config/configuration';
import { nodeConfigOf } from '../config/node-config';
import { lineProblem } from '../config/texts';
import { readStandardInput } from '../host/files';
import type { Family } from '../model/address';
import type { ClusterState, Node } from '../model/cluster';
import { ClusterStore } from '../model/cluster-store';
import { UserError } from '../model/user-error';
import { modes } from '../modes/modes';
import { planNodeSettings } from '../planner/node-settings';
import type { Plan } from '../planner/plan';
import { planCluster } from '../planner/plan-cluster';
import { ManifestSource } from '../sources/manifests/manifest-source';
import { listOnce, openKubernetes, startSource } from '../sources/open-source';
import type { Source } from '../sources/source';
import type { Logger } from '../telemetry/log';

export interface NodeRequest {
  /** Files and folders, `-` is standard input; empty: an API server. */
  readonly files: readonly string[];
  /** In upper or lower case; '': the only Node that there is. */
  readonly node: string;
  /** Finds the node's name where none was given. */
  readonly nodeOf?: (cluster: ClusterState) => string;
  readonly families: readonly Family[];
  /** The addresses of the node's interfaces, canonical. Without them, only the addresses in the Node object are known. */
  readonly hostAddresses?: readonly string[];
}

export interface NodePlans {
  /** In the order of the families. */
  readonly plans: readonly Plan[];
  /** '': a node without pods. */
  readonly nodeName: string;
  readonly cluster: ClusterState;
  /** The node's addresses of both families, as far as they are known. */
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
  /** Plans with the present state of the cluster. */
  plan(hostAddresses: readonly string[] | undefined): NodePlans;
  stop(): Promise<void>;
}

/** Like planNode, but it goes on following the cluster. */
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
  const mode = modes[configuration.mode];
  const { settings, warnings } = planNodeSettings(
    nodeConfigOf(configuration, nodeName, mode),
    node,
    hostAddresses,
    mode.readsServiceCIDRs ? store.serviceCIDRs : undefined,
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
  if (request.files.length === 0) {
    const source = openKubernetes(configuration, request.node, log);
    source.readServiceCIDRs(modes[configuration.mode].readsServiceCIDRs);
    return source;
  }
  const paths = request.files.filter((path) => path !== '-');
  const texts = paths.length === request.files.length ? [] : [{ path: '-', text: await readStandardInput() }];
  return ManifestSource.open({ paths, texts, watch });
}

/** The Node with this name or, without a name, the only Node that there is. */
function chooseNode(name: string, store: ClusterStore, log: Logger): Node | undefined {
  if (name !== '') {
    const node = store.nodes.get(name);
    if (node === undefined)
      log.warn({ node: name }, 'there is no Node of that name: its zone, addresses and podCIDRs are unknown');
    return node;
  }
  const [first, second] = store.nodes.values();
  if (second === undefined && first !== undefined) return first;
  const why = first === undefined ? 'no Node was given' : `${store.nodes.size} Nodes were given`;
  log.warn(`${why}: the rules are those of a node that has no pods; to choose a node, use --node NAME`);
  return undefined;
}
