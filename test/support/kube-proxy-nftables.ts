/** What the real kube-proxy gave nft for a small cluster: test/recorded/kube-proxy-nftables. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClusterObject } from '../conformance/scenario';

const folder = join('test', 'recorded', 'kube-proxy-nftables');

export type NftFamily = 'ip' | 'ip6';
export const nftFamilies: readonly NftFamily[] = ['ip', 'ip6'];

/** Of Services and slices, at kube-proxy's start. */
export function recordedCluster(): readonly ClusterObject[] {
  const { items } = JSON.parse(readFileSync(join(folder, 'cluster.json'), 'utf8')) as { items: ClusterObject[] };
  return items;
}

export interface Transaction {
  /** The file's name: `ip-01-start.nft`. */
  readonly name: string;
  readonly text: string;
}

/** In the order in which kube-proxy made them. */
export function transactionsOf(family: NftFamily): readonly Transaction[] {
  const pattern = new RegExp(`^${family}-\\d+-`);
  const names = readdirSync(folder).filter((name) => pattern.test(name));
  return names.sort().map((name) => ({ name, text: readFileSync(join(folder, name), 'utf8') }));
}

/** Its table after the start, as `nft list table` prints it. */
export function tableAfterStart(family: NftFamily): string {
  return readFileSync(join(folder, `${family}-left.nft`), 'utf8');
}
