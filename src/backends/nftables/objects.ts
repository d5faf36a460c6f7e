/** The words in which this backend describes a table of nf_tables: each prints as nft's text and encodes as netlink attributes. */
import type { Family } from '../../model/address';

/** One part of a key or of a value. `index` is a number in the machine's byte order, as numgen and jhash give it. */
export type Field = 'address' | 'protocol' | 'port' | 'index';

export interface SetObject {
  readonly name: string;
  readonly key: readonly Field[];
  /** Of a map: `verdict`, or the fields of its values. */
  readonly data?: 'verdict' | readonly Field[];
  readonly comment?: string;
}

export interface SetElement {
  /** As nft prints it: `10.96.0.10 . tcp . 80` */
  readonly key: string;
  /** Of a map: `goto vipwire-pick-2`, `drop`, `10.244.1.2 . 8080`. */
  readonly value?: string;
  readonly comment?: string;
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
  | { readonly kind: 'source' | 'destination' | 'protocol' | 'port' }
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
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'accept' | 'drop' | 'return' | 'reject' | 'masquerade' };

/** Bytes of a comment, the final NUL not counted: nft takes no longer ones. */
export const mostCommentBytes = 127;
/** kube-proxy's table, of either family. */
export const tableName = 'kube-proxy';

/** Bytes that a field takes in a register, padding not counted. */
export function fieldBytes(field: Field, family: Family): number {
  if (field === 'address') return family === 'IPv4' ? 4 : 16;
  return { protocol: 1, port: 2, index: 4 }[field];
}
