/** What the daemon knows of its node: the Node object, the machine's addresses, and what the planner makes of them. */
import type { ProxyConfiguration } from '../config/configuration';
import { nodeConfigOf } from '../config/node-config';
import { modes } from '../modes/modes';
import { AddressMonitor } from '../host/address-monitor';
import { runCommand } from '../host/command';
import { readInterfaceAddresses } from '../host/interfaces';
import type { Family } from '../model/address';
import type { Node } from '../model/cluster';
import type { HostAddressesOptions } from './agent-addresses';
import { sameValue } from '../model/same-value';
import { checkFamilies } from '../planner/check-families';
import { choosePrimaryFamily, planNodeSettings } from '../planner/node-settings';
import type { NodeSettings } from '../planner/plan';

/** Its addresses are VIPs, not the node's own. */
const ipvsDevice = 'kube-ipvs0';
const second = 1000;

/** How long the first round waits for what the Node lacks: kube-proxy's limits. */
export const nodeWaits = {
  /** Then it is said that there is none. */
  nodeMs: 10 * second,
  /** Then it goes on without. */
  addressesMs: 30 * second,
  /** Then it gives up. */
  podCIDRsMs: 5 * 60 * second,
} as const;

/** Addresses of this machine: canonical, of all interfaces but IPVS's own. */
export const thisMachine: Pick<HostAddressesOptions, 'read' | 'monitor'> = {
  read: async () => (await readInterfaceAddresses(runCommand, ipvsDevice)).map(({ address }) => address),
  monitor: (onChange) => new AddressMonitor({ except: ipvsDevice, onChange }),
};

export interface AgentNodeOptions {
  readonly configuration: ProxyConfiguration;
  readonly nodeName: string;
  /** The Node, where there is one now. */
  readonly findNode: () => Node | undefined;
  /** Of the machine, canonical. */
  readonly hostAddresses: () => readonly string[];
  /** May repeat itself. */
  readonly onWarning: (kind: string, message: string) => void;
}

export class AgentNode {
  private current: NodeSettings | undefined;
  private lastNode: Node | undefined;
  private goesWithoutAddresses = false;
  private configuration: ProxyConfiguration;

  constructor(private readonly options: AgentNodeOptions) {
    this.configuration = options.configuration;
  }

  /** For resettle to take into account. */
  configure(configuration: ProxyConfiguration): void {
    this.configuration = configuration;
  }

  /** One that is deleted stays what it was, as in kube-proxy. */
  get object(): Node | undefined {
    return (this.lastNode = this.options.findNode() ?? this.lastNode);
  }

  get primaryFamily(): Family {
    return choosePrimaryFamily(this.object, this.configuration.bindAddress);
  }

  get settings(): NodeSettings {
    return (this.current ??= this.plan());
  }

  /** Something of it changed: whether that makes a difference. */
  resettle(): boolean {
    const settings = this.plan();
    if (sameValue(settings, this.current)) return false;
    this.current = settings;
    return true;
  }

  /** In mode NodeCIDR nothing could be told about sources without them. */
  lacksPodCIDRs({ detectLocalMode } = this.configuration): boolean {
    return detectLocalMode === 'NodeCIDR' && (this.object?.podCIDRs ?? []).length === 0;
  }

  /** `primary` without an address would be every address. kube-proxy waits for other settings too, since it asks but once. */
  lacksAddresses({ nodePortAddresses } = this.configuration): boolean {
    if (this.goesWithoutAddresses || !nodePortAddresses.includes('primary')) return false;
    return (this.object?.addresses ?? []).length === 0;
  }

  goWithoutAddresses(): void {
    this.goesWithoutAddresses = true;
  }

  /** Why this node cannot be served by this configuration; undefined: it can. What is odd about it is warned of. */
  checkFamilies(supported: readonly Family[], configuration = this.configuration): string | undefined {
    const { onWarning } = this.options;
    const problems = checkFamilies(configuration, this.object, supported);
    for (const { isFatal, message } of problems) if (!isFatal) onWarning('wrong-family', message);
    return problems.find(({ isFatal }) => isFatal)?.message;
  }

  private plan(): NodeSettings {
    const { nodeName, onWarning } = this.options;
    const { settings, warnings } = planNodeSettings(
      nodeConfigOf(this.configuration, nodeName, modes[this.configuration.mode]),
      this.object,
      this.options.hostAddresses(),
    );
    for (const { kind, message } of warnings) onWarning(kind, message);
    return settings;
  }
}
