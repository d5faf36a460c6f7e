/** What a comparison finds. */
import type { MatchedRule } from '../trace/packet';
import type { Source } from './sources';

export type Aspect =
  /** A way in that is not there, or that no Service has. */
  | 'frontend'
  /** Forwarded, refused, dropped or left alone. */
  | 'verdict'
  /** Which list: the cluster's endpoints or this node's. */
  | 'policy'
  | 'endpoint'
  | 'share'
  | 'masquerade'
  | 'source ranges'
  | 'affinity'
  | 'health check port';

export type Change = 'missing' | 'extra' | 'changed';

/** For one source; those that say the same of several are told as one. */
export interface Finding {
  readonly aspect: Aspect;
  readonly change: Change;
  /** In words; '' where `change` says it all. */
  readonly expected: string;
  readonly observed: string;
}

/** A difference from kube-proxy that is meant to be. */
export interface KnownDifference {
  readonly why: string;
  /** Of github.com/kubernetes/kubernetes. */
  readonly issues: readonly number[];
}

export interface Difference extends Finding {
  /** `default/web:http`; '' where no Service has it. */
  readonly service: string;
  /** `ClusterIP 10.96.0.10:80/tcp`; '' for what is the Service's own. */
  readonly frontend: string;
  /** Whose connections; empty: all that there are. */
  readonly sources: readonly Source[];
  /** All the sources that were tried, of which these are some. */
  readonly tried: readonly Source[];
  /** That decided, for the first of them. */
  readonly rules: readonly MatchedRule[];
  readonly known?: KnownDifference;
}

/** Frontends that a rule which is not understood stands in front of. */
export interface Undecided {
  readonly service: string;
  readonly frontend: string;
  readonly rule: MatchedRule | undefined;
}

export interface Comparison {
  readonly services: number;
  readonly frontends: number;
  readonly differences: readonly Difference[];
  readonly undecided: readonly Undecided[];
}
