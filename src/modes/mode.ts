/** What a mode needs of a machine, and what it offers to the program. */
import type { Backend } from '../backends/backend';
import type { KernelTexts } from '../compare/parse-kernel';
import type { ProxyConfiguration } from '../config/configuration';
import type { KernelDiff } from '../diff/kernel-diff';
import type { DryRunRequest } from '../machine/assumption';
import type { CheckedCluster, Finding, MachineCheck } from '../machine/finding';
import type { LeaveOptions, Leftovers } from '../machine/leave';
import type { MachineMode } from '../machine/open-machine';
import type { Family } from '../model/address';
import type { ProxyMode } from '../model/proxy-mode';
import type { Plan } from '../planner/plan';
import type { Logger } from '../telemetry/log';
import type { IptablesVariant } from '../xtables/variant';

export interface DiffRequest {
  readonly plan: Plan;
  /** What the tools printed for the Plan's family. */
  readonly texts: KernelTexts;
  readonly configuration: ProxyConfiguration;
  readonly nodeName: string;
  /** The texts come from files, and may be another machine's. */
  readonly isOffline: boolean;
}

export interface Mode extends MachineMode {
  readonly name: ProxyMode;
  /** The planner needs every address of the node's interfaces. */
  readonly needsHostAddresses: boolean;
  /** It drops what goes to an address of a ServiceCIDR that no Service has. */
  readonly readsServiceCIDRs: boolean;
  /** NodePorts of TCP answer on ::1, by a listener of this process, where the configuration asks for it. */
  readonly listensOnIPv6Loopback: boolean;
  /** It writes to tables of iptables, of one variant. */
  readonly isOnTables: boolean;
  /** Everything that it writes goes through iptables-restore. */
  readonly writesByRestore: boolean;
  /** It turns net.ipv4.ip_forward on itself. */
  readonly turnsForwardingOn: boolean;
  /** The kernel modules to load before the first write; the kernel loads others when a rule names them. */
  modules(configuration: ProxyConfiguration): readonly string[];
  /** `--init-only`: does what an init container may do and the daemon may not. Throws UserError where the mode cannot work. */
  prepareNode(configuration: ProxyConfiguration, log: Logger): Promise<void>;
  /** What this mode left besides tables of iptables, for another mode whose rules are in force. */
  leftovers(options: LeaveOptions): readonly Leftovers[];
  /**
   * `vipwire cleanup`, once the rules in the tables of iptables are gone: removes everything else that this mode leaves. Logs what it
   * did, and returns whether all is gone. Never rejects.
   */
  cleanUp(families: readonly Family[], log: Logger): Promise<boolean>;
  /** Called once, where a Service wants session affinity. */
  warnOfAffinity(log: Logger): Promise<void>;
  /** What preflight asks of the machine for this mode. */
  checkMachine(configuration: ProxyConfiguration, iptablesVariant: IptablesVariant): Promise<MachineCheck>;
  /** What preflight asks once the Services are known. */
  checkServices(cluster: CheckedCluster): Promise<Finding[]>;
  /** Backends that read this machine as far as they may, and write nothing. */
  dryBackends(request: DryRunRequest): Promise<ReadonlyMap<Family, Backend<unknown>>>;
  /** The title of a batch that `run --dry-run` prints: the tool that takes it. */
  batchTitle(family: Family): string;
  /** What `render` prints for a Plan: a title and the text. */
  printRules(plan: Plan, configuration: ProxyConfiguration): { readonly title: string; readonly text: string };
  /** A Plan's rules as the tools would print them on a node that has nothing else. */
  renderTexts(plan: Plan, configuration: ProxyConfiguration): KernelTexts;
  /** Compares what a kernel holds with what it should hold. Throws UserError where a text that is needed is missing. */
  diff(request: DiffRequest): Promise<KernelDiff>;
}
