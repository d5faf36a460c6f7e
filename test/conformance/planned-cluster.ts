/** A scenario's cluster as Plans: what the proxy on `node` makes of its objects, without an API server or a process. */
import { nodeConfigOf } from '../../src/config/node-config';
import { modes } from '../../src/modes/modes';
import { usualSettings } from '../../src/machine/iptables-settings';
import { completeConfiguration } from '../../src/config/complete';
import type { ProxyConfiguration } from '../../src/config/configuration';
import { decodeConfiguration } from '../../src/config/decode';
import type { IptablesSettings } from '../../src/backends/iptables/settings';
import { families, type Family } from '../../src/model/address';
import type { ClusterChange } from '../../src/model/cluster';
import { ClusterStore } from '../../src/model/cluster-store';
import { planNodeSettings } from '../../src/planner/node-settings';
import type { MutablePlan, Plan, PlanChanges } from '../../src/planner/plan';
import { applyPlanChanges, planChanges } from '../../src/planner/plan-changes';
import { planCluster } from '../../src/planner/plan-cluster';
import { parseManifests } from '../../src/sources/manifests/parse-manifests';
import { nodes } from './objects';
import type { ClusterObject, Scenario } from './scenario';

/** KubeProxyConfiguration with these fields, over the lab's clusterCIDR. */
export function labConfiguration(fields: Scenario['config']): ProxyConfiguration {
  const head = { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration' };
  const text = JSON.stringify({ ...head, clusterCIDR: '10.244.0.0/16,fd44::/16', ...fields });
  const { configuration, problems } = completeConfiguration(decodeConfiguration(text, 'config').settings);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return configuration;
}

export class PlannedCluster {
  readonly plans: Readonly<Record<Family, Plan>>;
  readonly backendSettings: IptablesSettings;
  private readonly mutablePlans: Readonly<Record<Family, MutablePlan>>;
  private readonly store = new ClusterStore(0);
  /** The change that removes each object of the cluster, by the object's id. */
  private deletions = new Map<string, ClusterChange>();

  /** `hostAddresses`: canonical addresses of the node's interfaces. */
  constructor(config: Scenario['config'], hostAddresses: readonly string[]) {
    const configuration = labConfiguration(config);
    this.tell([]);
    const { settings } = planNodeSettings(
      nodeConfigOf(configuration, 'node', modes[configuration.mode]),
      this.store.nodes.get('node'),
      hostAddresses,
    );
    const plan = (family: Family): MutablePlan => planCluster(this.store, family, settings);
    this.mutablePlans = { IPv4: plan('IPv4'), IPv6: plan('IPv6') };
    this.plans = this.mutablePlans;
    this.backendSettings = usualSettings(configuration);
  }

  /** From now on the cluster consists of these objects and the nodes. The plans are up to date when it returns. */
  apply(objects: readonly ClusterObject[]): Readonly<Record<Family, PlanChanges>> {
    this.tell(objects);
    const { services } = this.store.takeChanged();
    const changes = (family: Family): PlanChanges => planChanges(this.plans[family], this.store, services);
    const all = { IPv4: changes('IPv4'), IPv6: changes('IPv6') };
    for (const family of families) applyPlanChanges(this.mutablePlans[family], all[family]);
    return all;
  }

  private tell(items: readonly ClusterObject[]): void {
    const list = JSON.stringify({ kind: 'List', apiVersion: 'v1', items: [...nodes, ...items] });
    const { objects, errors } = parseManifests(list, 'scenario');
    if (errors.length > 0) throw new Error(errors.join('\n'));
    const gone = new Map(this.deletions);
    for (const { id } of objects) gone.delete(id);
    this.store.apply([...gone.values(), ...objects.flatMap(({ sets }) => sets)]);
    this.deletions = new Map(objects.map(({ id, deletion }) => [id, deletion]));
  }
}
