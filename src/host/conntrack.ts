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
   * Judges the family's UDP flows, deletes the stale ones and returns their number. Idempotent: a flow that has ended by itself is
   * not an error. Uses netlink or, where the addon cannot load, the conntrack tool (0.2 s per pair of VIP and endpoint at 100,000
   * flows). Throws ConntrackUnavailableError, NetlinkError or CommandError.
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
