/** The requests of the bench to its API server, and the reply. */
import type { ClusterSpec } from './cluster-objects';

export type ApiRequest =
  | { readonly kind: 'fill'; readonly spec: ClusterSpec }
  /** Makes this real pod the only endpoint of the moving Service. */
  | { readonly kind: 'move'; readonly pod: 0 | 1 }
  /** Replaces one endpoint in the slices of so many Services. */
  | { readonly kind: 'burst'; readonly slices: number; readonly turn: number }
  /** Replaces one endpoint of the big Service. Each turn has a different one. */
  | { readonly kind: 'big'; readonly turn: number };

export interface ApiReply {
  /** When the last write was complete, on the clock that all processes of the machine share (CLOCK_MONOTONIC). */
  readonly atMs: number;
  readonly port: number;
}
