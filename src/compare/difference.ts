/** The results of a comparison. */
import type { MatchedRule } from '../trace/packet';
import type { Source } from './sources';

export type Aspect =
  /** A frontend that is missing in the rules, or that no Service has. */
  | 'frontend'
  /** Forwarded, refused, dropped or untouched. */
  | 'verdict'
  /** Which list of endpoints is used: the cluster's or this node's. */
  | 'policy'
  | 'endpoint'
  | 'share'
  | 'masquerade'
  | 'source ranges'
  | 'affinity'
  | 'health check port';

export type Change = 'missing' | 'extra' | 'changed';

/** What differs for one source. Equal findings of several sources become one Difference. */
export interface Finding {
  readonly aspect: Aspect;
  readonly change: Change;
  /** In words. '' if `change` is enough. */
  readonly expected: string;
  readonly observed: string;
}

/** An intended difference from kube-proxy. */
export interface KnownDifference {
  readonly why: string;
  /** Issue numbers of github.com/kubernetes/kubernetes. */
  readonly issues: readonly number[];
}

export interface Difference extends Finding {
  /** `default/web:http`, or '' if no Service has it. */
  readonly service: string;
  /** `ClusterIP 10.96.0.10:80/tcp`, or '' for what belongs to the Service as a whole. */
  readonly frontend: string;
  /** The sources whose connections differ. Empty for all. */
  readonly sources: readonly Source[];
  /** All the sources that were tried. `sources` is a part of them. */
  readonly tried: readonly Source[];
  /** The rules that decided for the first of the sources. */
  readonly rules: readonly MatchedRule[];
  readonly known?: KnownDifference;
}

/** A frontend that could not be compared, because a rule on the way to it is not understood. */
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
