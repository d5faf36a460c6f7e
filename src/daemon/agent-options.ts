import type { ProxyConfiguration } from '../config/configuration';
import type { Clock } from '../host/clock';
import type { Conntrack } from '../host/conntrack';
import type { Family } from '../model/address';
import type { LoopbackNodePorts } from '../servers/loopback-node-ports';
import type { Source } from '../sources/source';
import type { Logger } from '../telemetry/log';
import type { OpenQuestions } from '../telemetry/open-questions';
import type { AgentTelemetry } from './agent-telemetry';

export interface AgentOptions {
  readonly configuration: ProxyConfiguration;
  readonly nodeName: string;
  readonly source: Source;
  readonly clock: Clock;
  readonly log: Logger;
  readonly telemetry: AgentTelemetry;
  /** Missing in a dry run. */
  readonly conntrack?: Conntrack;
  /** Missing in a dry run. */
  readonly loopbackNodePorts?: LoopbackNodePorts;
  /** In a dry run: shown what would be written. */
  readonly showBatch?: (family: Family, text: string) => void;
  /** Default: questions of its own, which are only logged. */
  readonly questions?: OpenQuestions;
  /** Default: the addresses of this machine, canonical. */
  readonly readHostAddresses?: () => Promise<readonly string[]>;
  /** The source may have no Node, and is not waited for. */
  readonly needsNoNode?: boolean;
}
