/** Reads nf_tables of this network namespace by netlink, and removes rules by their handles. */
import type { Family } from '../model/address';
import { NetlinkError, NetlinkSocket, netlinkProtocols } from './netlink';
import { encodeAttribute } from './netlink-attributes';
import { readGeneration } from './nf-generation';
import { decodeChain, decodeTable, type NfChain, nfgenmsgBytes, NfRule, type NfTableName } from './nf-rule';
import { commitTransaction } from './nf-transaction';

const subsystem = 10 << 8; // NFNL_SUBSYS_NFTABLES
/** NFT_MSG_* */
const message = { getTable: 1, getChain: 4, getRule: 7, deleteRule: 8 } as const;
const attribute = { ruleTable: 1, ruleChain: 2, ruleHandle: 3 } as const;
const mostAttempts = 5;
/** The most deletions in one transaction. */
const mostDeletions = 64;

export interface NfTable<R> extends NfTableName {
  readonly chains: readonly NfChain[];
  /** By chain, what `take` made of its rules, in their order. A chain without rules is not in it. */
  readonly rules: ReadonlyMap<string, readonly R[]>;
}

export interface NfRuleName {
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
}

/** The tables `ip` and `ip6` of one family. All methods throw NetlinkError, and NetlinkUnavailableError where the addon cannot load. */
export class NfTables {
  readonly #socket = new NetlinkSocket(netlinkProtocols.netfilter);
  readonly #family: Buffer;

  constructor(family: Family) {
    this.#family = encodeFamily(family);
  }

  readTables(): Promise<NfTableName[]> {
    return this.#dump(message.getTable, this.#family, decodeTable);
  }

  /**
   * Reads the table as it was at one moment: when somebody writes meanwhile, it reads again, and in the end it fails with EAGAIN.
   * Returns undefined where there is no such table.
   */
  async readTable<R>(name: string, take: (rule: NfRule) => R): Promise<NfTable<R> | undefined> {
    for (let attempt = 1; attempt <= mostAttempts; attempt++) {
      const before = await readGeneration(this.#socket);
      const table = await this.#readTable(name, take).catch((error: unknown) => {
        // Somebody deleted the table, or wrote to it.
        if (error instanceof NetlinkError && /^(ENOENT|EAGAIN|EINTR)$/.test(error.code)) return 'again' as const;
        throw error;
      });
      if (table !== 'again' && before === (await readGeneration(this.#socket))) return table;
    }
    throw new NetlinkError('EAGAIN', subsystem | message.getRule);
  }

  /** Deletes the rules in transactions of at most 64. A rule that does not exist makes its whole transaction fail with ENOENT. */
  async deleteRules(rules: readonly NfRuleName[]): Promise<void> {
    for (let at = 0; at < rules.length; at += mostDeletions)
      await commitTransaction(
        rules.slice(at, at + mostDeletions).map(({ table, chain, handle }) => ({
          type: subsystem | message.deleteRule,
          payload: Buffer.concat([
            this.#family,
            encodeAttribute(attribute.ruleTable, encodeText(table)),
            encodeAttribute(attribute.ruleChain, encodeText(chain)),
            encodeAttribute(attribute.ruleHandle, encodeHandle(handle)),
          ]),
        })),
      );
  }

  close(): void {
    this.#socket.close();
  }

  async #readTable<R>(name: string, take: (rule: NfRule) => R): Promise<NfTable<R> | undefined> {
    const table = (await this.readTables()).find((one) => one.name === name);
    if (table === undefined) return undefined;
    const chains = (await this.#dump(message.getChain, this.#family, decodeChain)).filter((one) => one.table === name);
    const ofTable = Buffer.concat([this.#family, encodeAttribute(attribute.ruleTable, encodeText(name))]);
    const rules = new Map<string, R[]>();
    await this.#dump(message.getRule, ofTable, (payload) => {
      const rule = new NfRule(payload);
      // Kernels before 4.7 send the rules of all tables.
      if (rule.table !== name) return;
      const list = rules.get(rule.chain);
      if (list === undefined) rules.set(rule.chain, [take(rule)]);
      else list.push(take(rule));
    });
    return { ...table, chains, rules };
  }

  /** Does not try again: an interrupted dump may lack entries, and throws EAGAIN. */
  async #dump<T>(type: number, request: Uint8Array, decode: (payload: Buffer) => T): Promise<T[]> {
    const all: T[] = [];
    const { interrupted } = await this.#socket.dump(subsystem | type, request, ({ payload }) => {
      if (payload.length >= nfgenmsgBytes) all.push(decode(payload));
    });
    if (interrupted) throw new NetlinkError('EAGAIN', subsystem | type);
    return all;
  }
}

function encodeFamily(family: Family): Buffer {
  return Buffer.from([family === 'IPv4' ? 2 : 10, 0, 0, 0]); // struct nfgenmsg
}

function encodeText(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

function encodeHandle(handle: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(handle));
  return bytes;
}
