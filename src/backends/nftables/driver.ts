import type { RawSocketSizes } from '../../host/netlink-addon';
import type { Family } from '../../model/address';
import { TableReader } from './driver-read';
import { TableWriter } from './driver-write';
import type { ElementReader, NftKernel, ReadObjects, TableWrite } from './objects';

/**
 * One family's table over netlink, in the network namespace of the first read and the first write. Besides what NftKernel says, all of it
 * throws NetlinkUnavailableError where the addon cannot load, and NetlinkError.
 */
export class NetlinkNftKernel implements NftKernel {
  readonly canRead = true;
  readonly #reader: TableReader;
  readonly #writer: TableWriter;

  constructor(family: Family, sizes: RawSocketSizes = {}) {
    this.#reader = new TableReader(family);
    this.#writer = new TableWriter(family, sizes);
  }

  read(reader: ElementReader): Promise<ReadObjects | undefined> {
    return this.#reader.read(reader);
  }

  readObjects(): Promise<ReadObjects | undefined> {
    return this.#reader.readObjects();
  }

  write(writes: readonly TableWrite[]): Promise<void> {
    return this.#writer.write(writes);
  }

  close(): void {
    this.#reader.close();
    this.#writer.close();
  }
}
