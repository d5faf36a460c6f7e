/** The words in which this backend describes a table of nf_tables: each prints as nft's text and encodes as netlink attributes. */
import type { Family } from '../../model/address';

/**
 * One part of a key or of a value. `index` is a number in the machine's byte order, as numgen and jhash give it. `priority` is what a
 * packet's priority holds, as nft prints it: two hexadecimal numbers, `8c1f:23d0`.
 */
export type Field = 'address' | 'protocol' | 'port' | 'index' | 'priority';

export interface SetObject {
  readonly name: string;
  readonly key: readonly Field[];
  /** Of a map: `verdict`, or the fields of its values. */
  readonly data?: 'verdict' | readonly Field[];
  /** Of a set whose elements rules add, with a timeout each: how many elements fit. */
  readonly dynamicSize?: number;
  readonly comment?: string;
}

export interface SetElement {
  /** As nft prints it: `10.96.0.10 . tcp . 80` */
  readonly key: string;
  /** Of a map: `goto vipwire-pick-2`, `drop`, `10.244.1.2 . 8080`. */
  readonly value?: string;
  readonly comment?: string;
  /** Only in a dynamic set. */
  readonly timeout?: ElementTimeout;
}

export interface ElementTimeout {
  readonly seconds: number;
  /** Until the element goes; at most the timeout. */
  readonly remainingMs: number;
}

export interface BaseChainHook {
  readonly type: 'filter' | 'nat';
  readonly hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
  readonly priority: number;
}

export interface ChainObject {
  readonly name: string;
  /** Of base chains; their policy is accept. */
  readonly base?: BaseChainHook;
  readonly rules: readonly Rule[];
}

export interface Rule {
  readonly statements: readonly Statement[];
  readonly comment?: string;
}

/** What a part of a key is taken from. */
export type Selector =
  | { readonly kind: 'source' | 'destination' | 'protocol' | 'port' | 'priority' }
  | { readonly kind: 'numgen'; readonly mode: 'random' | 'inc'; readonly modulus: number }
  /** A hash of the source address. */
  | { readonly kind: 'hash'; readonly modulus: number; readonly seed: number };

export type Statement =
  /** `ip saddr != 10.244.0.0/16` */
  | {
      readonly kind: 'address';
      readonly side: 'source' | 'destination';
      readonly isNot: boolean;
      readonly cidr: string;
    }
  /** `iifname "veth*"`; a name that ends in `*` is a prefix. */
  | { readonly kind: 'interface'; readonly isNot: boolean; readonly name: string }
  /** `fib daddr type local` */
  | { readonly kind: 'is-local'; readonly side: 'source' | 'destination' }
  | { readonly kind: 'ct-state-new' }
  /** `ct state established,related` */
  | { readonly kind: 'ct-state-old' }
  | { readonly kind: 'ct-status-dnat' }
  /** `mark and 0x4000 != 0` */
  | { readonly kind: 'has-mark'; readonly mark: number }
  | { readonly kind: 'set-mark'; readonly mark: number }
  /** Turns these bits over. */
  | { readonly kind: 'flip-mark'; readonly mark: number }
  /** `ip daddr @vipwire-cluster-ips` */
  | { readonly kind: 'in-set'; readonly key: readonly Selector[]; readonly set: string; readonly isNot?: boolean }
  /** `ip daddr . meta l4proto . th dport vmap @vipwire-services` */
  | { readonly kind: 'vmap'; readonly key: readonly Selector[]; readonly map: string }
  /** `dnat to KEY map @vipwire-endpoints` */
  | { readonly kind: 'dnat'; readonly key: readonly Selector[]; readonly map: string }
  /** `meta l4proto tcp` */
  | { readonly kind: 'protocol'; readonly protocol: string }
  /** `meta priority set ip saddr map @clients` */
  | { readonly kind: 'set-priority'; readonly key: readonly Selector[]; readonly map: string }
  /** `update @clients { ip saddr timeout 10800s : meta priority }`: adds an element, or renews the timeout of the one that is there. */
  | { readonly kind: 'remember'; readonly map: string; readonly seconds: number }
  /** `delete @clients { ip saddr : meta priority }` */
  | { readonly kind: 'forget'; readonly map: string }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'accept' | 'drop' | 'return' | 'reject' | 'masquerade' };

/** One change to a family's table. */
export type TableWrite =
  | { readonly op: 'add-table' }
  /** With everything in it. */
  | { readonly op: 'delete-table' }
  | { readonly op: 'add-set'; readonly set: SetObject }
  /** The kernel refuses it while a rule looks the set up. */
  | { readonly op: 'delete-set'; readonly set: string }
  | { readonly op: 'add-chain'; readonly chain: Pick<ChainObject, 'name' | 'base'> }
  /** Replaces all rules of the chain. */
  | { readonly op: 'set-rules'; readonly chain: string; readonly rules: readonly Rule[] }
  /** The kernel refuses it while a rule or an element leads to the chain. */
  | { readonly op: 'delete-chain'; readonly chain: string }
  /** An element that is there with another value must be deleted before, also in the same transaction. */
  | { readonly op: 'add-elements'; readonly set: SetObject; readonly elements: readonly SetElement[] }
  /** The kernel refuses elements that are not there. */
  | { readonly op: 'delete-elements'; readonly set: SetObject; readonly elements: readonly SetElement[] };

/** What a table has besides elements. */
export interface ReadObjects {
  /** Each chain as `printChainText` prints it. What nobody here could have written is in it in other words, and so differs. */
  readonly chains: ReadonlyMap<string, string>;
  /** Each set as `printSetText` prints it. */
  readonly sets: ReadonlyMap<string, string>;
}

/** Takes the elements of a table as they are read. */
export interface ElementReader {
  /** The reading begins again, since somebody wrote meanwhile: what came so far is void. */
  restart(): void;
  /** @param value '' in a set; with the comment, as `printValue` prints it. */
  element(set: string, key: string, value: string): void;
  /** A client that kube-proxy remembers, of one of its sets. */
  client(set: string, client: RememberedClient): void;
}

/** An element of a set of kube-proxy's session affinity. */
export interface RememberedClient {
  readonly address: string;
  readonly remainingMs: number;
}

/** Reads and writes one family's table of kube-proxy. */
export interface NftKernel {
  /** Whether `read` and `readObjects` can work at all. If not, they always throw, and everything is to be written anew. */
  readonly canRead: boolean;
  /** Returns undefined where there is no such table. Throws where it cannot be told. Elements of dynamic sets are not read. */
  read(reader: ElementReader): Promise<ReadObjects | undefined>;
  /** What a read would find, without elements. */
  readObjects(): Promise<ReadObjects | undefined>;
  /**
   * One transaction. Throws RefusedWritesError where nothing of it is done, and another error where it cannot be told what is done. The
   * writes must fit one transaction, as `StepBuilder` sees to it: it throws RangeError otherwise.
   */
  write(writes: readonly TableWrite[]): Promise<void>;
  close(): void;
}

/** The kernel refused a transaction, and nothing of it is done. */
export class RefusedWritesError extends Error {
  override readonly name = 'RefusedWritesError';

  /** @param refused the indexes of the writes at fault, with the name of errno. Empty where it is the transaction as a whole. */
  constructor(
    message: string,
    readonly refused: ReadonlyMap<number, string>,
  ) {
    super(message);
  }
}

/** Bytes of a comment, the final NUL not counted: nft takes no longer ones. */
export const mostCommentBytes = 127;
/** kube-proxy's table, of either family. */
export const tableName = 'kube-proxy';
export const tableComment = 'vipwire: rules for Services';

/** Bytes that a field takes in a register, padding not counted. */
export function fieldBytes(field: Field, family: Family): number {
  if (field === 'address') return family === 'IPv4' ? 4 : 16;
  return { protocol: 1, port: 2, index: 4, priority: 4 }[field];
}
