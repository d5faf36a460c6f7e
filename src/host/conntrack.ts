/** Deletes UDP flows from the connection tracker of this network namespace. */
import type { Family } from '../model/address';
import type { FlowFilter } from '../model/flow';
import type { RunCommand } from './command';
import { ConntrackNetlink } from './conntrack-netlink';
import { deleteFlowsByTool } from './conntrack-tool';
import { NetlinkUnavailableError } from './netlink';

export class Conntrack {
  readonly #netlink = new ConntrackNetlink();

  constructor(readonly run: RunCommand) {}

  /**
   * Judges the family's UDP flows and deletes the stale ones; returns how many. Idempotent: a flow that has gone by
   * itself is no error. By netlink, or by the conntrack tool where the addon cannot load (0.2 s a pair of VIP and endpoint
   * at 100,000 flows). Throws ConntrackUnavailableError, NetlinkError or CommandError.
   */
  async deleteUdpFlows(family: Family, filter: FlowFilter): Promise<number> {
    try {
      return await this.#netlink.deleteUdpFlows(family, filter);
    } catch (error) {
      if (!(error instanceof NetlinkUnavailableError)) throw error;
      return deleteFlowsByTool(this.run, family, filter);
    }
  }

  close(): void {
    this.#netlink.close();
  }
}
