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

/** The addresses of this device are VIPs, not the node's own. */
const ipvsDevice = 'kube-ipvs0';
const second = 1000;

/** How long the first round waits for what the Node lacks. These are kube-proxy's limits. */
export const nodeWaits = {
  /** Then it is logged that there is no such Node. */
  nodeMs: 10 * second,
  /** Then the first round begins without them. */
  addressesMs: 30 * second,
  /** Then the daemon gives up. */
  podCIDRsMs: 5 * 60 * second,
} as const;

/** The addresses of this machine in canonical form, of all interfaces except IPVS's own. */
export const thisMachine: Pick<HostAddressesOptions, 'read' | 'monitor'> = {
  read: async () => (await readInterfaceAddresses(runCommand, ipvsDevice)).map(({ address }) => address),
  monitor: (onChange) => new AddressMonitor({ except: ipvsDevice, onChange }),
};

export interface AgentNodeOptions {
  readonly configuration: ProxyConfiguration;
  readonly nodeName: string;
  /** Returns the Node, if there is one now. */
  readonly findNode: () => Node | undefined;
  /** Those of this machine, in canonical form. */
  readonly hostAddresses: () => readonly string[];
  /** Of the cluster, as NodeSettings has them. */
  readonly serviceCIDRs: () => readonly string[];
  /** Called again for the same fault. */
  readonly onWarning: (kind: string, message: string) => void;
}

export class AgentNode {
  readonly #options: AgentNodeOptions;
  #current: NodeSettings | undefined;
  #lastNode: Node | undefined;
  #goesWithoutAddresses = false;
  #configuration: ProxyConfiguration;

  constructor(options: AgentNodeOptions) {
    this.#options = options;
    this.#configuration = options.configuration;
  }

  /** The next resettle takes it into account. */
  configure(configuration: ProxyConfiguration): void {
    this.#configuration = configuration;
  }

  /** A Node that was deleted stays as it was, as in kube-proxy. */
  get object(): Node | undefined {
    return (this.#lastNode = this.#options.findNode() ?? this.#lastNode);
  }

  get primaryFamily(): Family {
    return choosePrimaryFamily(this.object, this.#configuration.bindAddress);
  }

  get settings(): NodeSettings {
    return (this.#current ??= this.#plan());
  }

  /** Something of the node may have changed. Returns whether that changes the settings. */
  resettle(): boolean {
    const settings = this.#plan();
    if (sameValue(settings, this.#current)) return false;
    this.#current = settings;
    return true;
  }

  /** In mode NodeCIDR, sources cannot be judged without them. */
  lacksPodCIDRs({ detectLocalMode } = this.#configuration): boolean {
    return detectLocalMode === 'NodeCIDR' && (this.object?.podCIDRs ?? []).length === 0;
  }

  /** `primary` without an address would mean every address. kube-proxy also waits with other settings, since it asks only once. */
  lacksAddresses({ nodePortAddresses } = this.#configuration): boolean {
    if (this.#goesWithoutAddresses || !nodePortAddresses.includes('primary')) return false;
    return (this.object?.addresses ?? []).length === 0;
  }

  goWithoutAddresses(): void {
    this.#goesWithoutAddresses = true;
  }

  /** Why this node cannot be served with this configuration; undefined: it can. Warns of what is odd about it. */
  checkFamilies(supported: readonly Family[], configuration = this.#configuration): string | undefined {
    const { onWarning } = this.#options;
    const problems = checkFamilies(configuration, this.object, supported);
    for (const { isFatal, message } of problems) if (!isFatal) onWarning('wrong-family', message);
    return problems.find(({ isFatal }) => isFatal)?.message;
  }

  #plan(): NodeSettings {
    const { nodeName, hostAddresses, serviceCIDRs, onWarning } = this.#options;
    const mode = modes[this.#configuration.mode];
    const { settings, warnings } = planNodeSettings(
      nodeConfigOf(this.#configuration, nodeName, mode),
      this.object,
      hostAddresses(),
      mode.readsServiceCIDRs ? serviceCIDRs() : undefined,
    );
    for (const { kind, message } of warnings) onWarning(kind, message);
    return settings;
  }
}
