/** What the bench asks of its API server. */
import type { ClusterSpec } from './cluster-objects';

export type ApiRequest =
  | { readonly kind: 'fill'; readonly spec: ClusterSpec }
  /** The moving Service's only endpoint is this real pod now. */
  | { readonly kind: 'move'; readonly pod: 0 | 1 }
  /** One endpoint of so many Services' slices is another. */
  | { readonly kind: 'burst'; readonly slices: number; readonly turn: number }
  /** One endpoint of the big Service is another. Each turn has endpoints of its own. */
  | { readonly kind: 'big'; readonly turn: number };

export interface ApiReply {
  /** When the last write was done, on the clock that all processes of the machine share (CLOCK_MONOTONIC). */
  readonly atMs: number;
  readonly port: number;
}
