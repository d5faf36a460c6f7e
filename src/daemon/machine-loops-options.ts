import type { Clock } from '../host/clock';
import type { Conntrack } from '../host/conntrack';
import type { Machine } from '../machine/machine';
import type { Family } from '../model/address';
import type { ClusterState, ClusterWarning } from '../model/cluster';
import type { NodeSettings } from '../planner/plan';
import type { ScheduleSettings } from '../reconciler/schedule';
import type { LoopbackNodePorts } from '../servers/loopback-node-ports';
import type { Logger } from '../telemetry/log';
import type { OpenQuestions } from '../telemetry/open-questions';
import type { AgentTelemetry } from './agent-telemetry';

/** What the loops of one machine are given. */
export interface MachineLoopsOptions {
  readonly machine: Machine;
  /** Asked whenever a round is planned. */
  readonly schedule: () => ScheduleSettings;
  readonly state: ClusterState;
  readonly settings: () => NodeSettings;
  readonly hostAddresses: () => readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly telemetry: AgentTelemetry;
  readonly questions: OpenQuestions;
  readonly conntrack: Conntrack | undefined;
  /** Stays when the machine is replaced. */
  readonly loopbackNodePorts: LoopbackNodePorts | undefined;
  readonly showBatch: ((family: Family, text: string) => void) | undefined;
  readonly onWarning: (warning: ClusterWarning) => void;
}
