/** What a command line asks for. */
import type { FlagSettings } from '../config/effective';
import type { KernelRequest } from '../inspect/kernel-node';
import type { Family } from '../model/address';
import type { IptablesVariant } from '../xtables/variant';

export type RenderOutput = 'rules' | 'json' | 'summary';

export interface RunInvocation {
  readonly kind: 'run';
  readonly flags: FlagSettings;
  /** Files and folders to read instead of an API server; empty: an API server. */
  readonly manifests: readonly string[];
  /** Follow changes of the manifests. */
  readonly watch: boolean;
  readonly dryRun: boolean;
  /** For IPVS mode; 0: no limit. */
  readonly drainLimitMs: number;
  readonly iptablesVariant: IptablesVariant;
  /** Every flag as text, including those at their default. */
  readonly flagTexts: Readonly<Record<string, string>>;
}

export interface RenderInvocation {
  readonly kind: 'render';
  readonly flags: FlagSettings;
  /** Files and folders, `-` is standard input; empty: an API server. */
  readonly files: readonly string[];
  /** '': not given. */
  readonly node: string;
  readonly output: RenderOutput;
  readonly families: readonly Family[];
}

export interface CompareInvocation extends KernelRequest {
  readonly kind: 'compare';
  readonly output: 'text' | 'json';
}

export interface ExplainInvocation extends KernelRequest {
  readonly kind: 'explain';
  readonly output: 'text' | 'json';
  /** `to` is '' where `from` is `svc/NAMESPACE/NAME` or `pod/NAMESPACE/NAME`. */
  readonly question: { readonly from: string; readonly to: string };
}

export interface DiffInvocation extends KernelRequest {
  readonly kind: 'diff';
  readonly output: 'diff' | 'summary' | 'json';
  readonly watch: boolean;
}

export interface CleanupInvocation {
  readonly kind: 'cleanup';
  readonly flags: FlagSettings;
  readonly iptablesVariant: IptablesVariant;
}

/** Prepare the node and exit. */
export interface InitInvocation {
  readonly kind: 'init';
  readonly flags: FlagSettings;
}

export interface WriteConfigInvocation {
  readonly kind: 'write-config';
  readonly flags: FlagSettings;
  /** `-`: standard output. */
  readonly path: string;
}

export interface ConfigCheckInvocation {
  readonly kind: 'config-check';
  /** `-`: standard input. */
  readonly file: string;
}

/** Check whether this node is ready, and exit. */
export interface PreflightInvocation {
  readonly kind: 'preflight';
  readonly flags: FlagSettings;
  readonly iptablesVariant: IptablesVariant;
  readonly output: 'table' | 'json';
}

export interface StatusInvocation {
  readonly kind: 'status';
  readonly flags: FlagSettings;
  readonly output: 'text' | 'json';
}

export type Invocation =
  | StatusInvocation
  | RunInvocation
  | InitInvocation
  | PreflightInvocation
  | RenderInvocation
  | CompareInvocation
  | ExplainInvocation
  | DiffInvocation
  | CleanupInvocation
  | WriteConfigInvocation
  | ConfigCheckInvocation
  | { readonly kind: 'help' | 'version'; readonly text: string };
