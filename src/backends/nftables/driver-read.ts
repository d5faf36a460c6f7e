/** Reads one family's table over netlink, in parts, while others may write. */
import { NetlinkError, NetlinkSocket, netlinkProtocols } from '../../host/netlink';
import { encodeAttribute } from '../../host/netlink-attributes';
import type { Family } from '../../model/address';
import { isKubeProxyAffinitySet } from './adopt-affinity';
import { type Decoded, TableDecoder } from './driver-decode';
import { ElementDecoder, type TakeElement } from './driver-decode-elements';
import { familyNumbers, ofElements, subsystem } from './driver-messages';
import { type ElementReader, type ReadObjects, type SetObject, tableName } from './objects';

/** NFT_MSG_ */
const messages = { getTable: 1, getChain: 4, getRule: 7, getSet: 10, getElements: 13 } as const;
/** NFTA_..._TABLE is 1 in chains, rules and sets, and so is NFTA_TABLE_NAME. */
const ofTable = 1;
const mostAttempts = 5;
/** The event loop goes on after so much decoding. */
const mostHeldMs = 5;
/** For each part of a dump the kernel walks over all elements before it. Parts are as large as it makes them. */
const partBytes = 32 * 1024;

/** Clients that a set of kube-proxy's has room for. */
const mostOfKubeProxy = 65_535;

interface Table {
  readonly objects: ReadObjects;
  /** Those whose elements are read. */
  readonly sets: readonly SetObject[];
  /** kube-proxy's sets of clients. */
  readonly affinitySets: readonly SetObject[];
}

export class TableReader {
  readonly #socket = new NetlinkSocket(netlinkProtocols.netfilter, { partBytes });
  readonly #family: Family;
  readonly #decoder: TableDecoder;

  constructor(family: Family) {
    this.#family = family;
    this.#decoder = new TableDecoder(family);
  }

  /** As NftKernel.readObjects. Throws NetlinkError, EAGAIN where somebody writes all the time, and NetlinkUnavailableError. */
  async readObjects(): Promise<ReadObjects | undefined> {
    return (await this.#again(() => this.#readTable()))?.objects;
  }

  /** As NftKernel.read. Throws as readObjects does. */
  read(reader: ElementReader): Promise<ReadObjects | undefined> {
    let isFirst = true;
    return this.#again(async () => {
      if (!isFirst) reader.restart();
      isFirst = false;
      const table = await this.#readTable();
      if (table === undefined) return undefined;
      for (const set of table.sets) await this.#readElements(set, (key, value) => reader.element(set.name, key, value));
      for (const set of table.affinitySets)
        await this.#readElements(set, (address, _, remainingMs) => reader.client(set.name, { address, remainingMs }));
      return table.objects;
    });
  }

  close(): void {
    this.#socket.close();
  }

  /** Reads again where a table or a set went while it was read. */
  async #again<T>(read: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++)
      try {
        return await read();
      } catch (error) {
        const isGone = error instanceof NetlinkError && error.code === 'ENOENT';
        if (!isGone) throw error;
        if (attempt === mostAttempts) throw new NetlinkError('EAGAIN', subsystem | messages.getTable);
      }
  }

  async #readTable(): Promise<Table | undefined> {
    if (!(await this.#hasTable())) return undefined;
    const decoder = this.#decoder;
    const chains = new Map<string, string[]>();
    await this.#list(messages.getChain, (payload) => {
      const { table, name, text } = decoder.chain(payload);
      if (table === tableName) chains.set(name, text === '' ? [] : [text]);
    });
    await this.#list(messages.getRule, (payload) => {
      const { table, name, text } = decoder.rule(payload);
      if (table === tableName) chains.get(name)?.push(text);
    });
    const sets: (Decoded & { readonly set: SetObject | undefined })[] = [];
    await this.#list(messages.getSet, (payload) => {
      const set = decoder.set(payload);
      if (set?.table === tableName) sets.push(set);
    });
    return {
      objects: {
        chains: new Map([...chains].map(([name, lines]) => [name, lines.join('\n')])),
        sets: new Map(sets.map(({ name, text }) => [name, text])),
      },
      // The packets of clients write the elements of dynamic sets.
      sets: sets.flatMap(({ set }) => (set === undefined || set.dynamicSize !== undefined ? [] : [set])),
      affinitySets: sets.flatMap(({ name }) =>
        isKubeProxyAffinitySet(name) ? [{ name, key: ['address'], dynamicSize: mostOfKubeProxy }] : [],
      ),
    };
  }

  async #hasTable(): Promise<boolean> {
    try {
      await this.#socket.request(subsystem | messages.getTable, 0, this.#request());
      return true;
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'ENOENT') return false;
      throw error;
    }
  }

  /** Anybody's write interrupts a dump, which may then lack something. A small one soon succeeds. */
  async #list(type: number, take: (payload: Buffer) => void): Promise<void> {
    for (let attempt = 1; attempt <= mostAttempts; attempt++) {
      const { payloads, interrupted } = await this.#dump(type, this.#request());
      if (!interrupted) return inParts(payloads, take);
    }
    throw new NetlinkError('EAGAIN', subsystem | type);
  }

  /**
   * A dump of elements that was interrupted is made once more, and then counts: elements of a set that nobody writes to are all there even
   * so, and on a node where somebody writes ten times a second a large dump never ends without an interruption. What we ourselves write
   * meanwhile may hide an element that is there, which is then written again, to no effect.
   */
  async #readElements(set: SetObject, take: TakeElement): Promise<void> {
    const request = this.#request(encodeAttribute(ofElements.set, Buffer.from(`${set.name}\0`)));
    let dump = await this.#dump(messages.getElements, request);
    if (dump.interrupted) dump = await this.#dump(messages.getElements, request);
    const decoder = new ElementDecoder(set, this.#family);
    await inParts(dump.payloads, (payload) => decoder.decode(payload, take));
  }

  /** The messages are not decoded as they come: the addon takes 32 parts of a dump before the event loop goes on. */
  async #dump(
    type: number,
    request: Buffer,
  ): Promise<{ readonly payloads: readonly Buffer[]; readonly interrupted: boolean }> {
    const payloads: Buffer[] = [];
    const { interrupted } = await this.#socket.dump(subsystem | type, request, ({ payload }) => payloads.push(payload));
    return { payloads, interrupted };
  }

  #request(...attributes: readonly Buffer[]): Buffer {
    return Buffer.concat([
      Buffer.from([familyNumbers[this.#family], 0, 0, 0]),
      encodeAttribute(ofTable, Buffer.from(`${tableName}\0`)),
      ...attributes,
    ]);
  }
}

/** Lets the event loop go on between the parts. */
async function inParts(payloads: readonly Buffer[], take: (payload: Buffer) => void): Promise<void> {
  let startMs = performance.now();
  for (const payload of payloads) {
    if (performance.now() - startMs > mostHeldMs) {
      await new Promise((resolve) => setImmediate(resolve));
      startMs = performance.now();
    }
    take(payload);
  }
}
