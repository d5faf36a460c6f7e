import type { Candidate } from './merge-slices';

/** Which lists a service port's policies need. */
export interface ListsInUse {
  readonly cluster: boolean;
  readonly local: boolean;
}

/** The node for which the choice is made. */
export interface Topology {
  readonly nodeName: string;
  /** '' if unknown. Zone hints are then not followed. */
  readonly zone: string;
}

export interface ChosenEndpoints {
  readonly cluster: readonly Candidate[];
  readonly local: readonly Candidate[];
  /** Whether any endpoint in the cluster could serve. If so, a list is empty because of a policy, not for lack of endpoints. */
  readonly hasAny: boolean;
}

const none: readonly Candidate[] = [];

function isReady(candidate: Candidate): boolean {
  return candidate.conditions.ready;
}

/** KEP-1669: such endpoints are the last resort while a rollout leaves no endpoint ready. */
function isServingWhileTerminating({ conditions }: Candidate): boolean {
  return !conditions.ready && conditions.serving && conditions.terminating;
}

/**
 * Returns the ready endpoints that hints assign to this node (KEP-2433, KEP-3015). Hints of one kind are followed only if every
 * ready endpoint has them and at least one endpoint is hinted to this node or zone. Node hints are tried first, then zone
 * hints. If neither can be followed, all ready endpoints are returned.
 */
function followHints(ready: readonly Candidate[], { nodeName, zone }: Topology): readonly Candidate[] {
  if (ready.every((candidate) => candidate.conditions.nodeHints.length > 0)) {
    const here = ready.filter((candidate) => candidate.conditions.nodeHints.includes(nodeName));
    if (here.length > 0) return here;
  }
  if (zone !== '' && ready.every((candidate) => candidate.conditions.zoneHints.length > 0)) {
    const here = ready.filter((candidate) => candidate.conditions.zoneHints.includes(zone));
    if (here.length > 0) return here;
  }
  return ready;
}

/**
 * Chooses the endpoints of one service port by readiness, topology hints and traffic policy, as kube-proxy 1.36 does. Keeps the
 * order of the candidates. Hints affect neither the local list nor the fallback to terminating endpoints, and each list
 * falls back independently of the other.
 */
export function chooseEndpoints(
  candidates: readonly Candidate[],
  uses: ListsInUse,
  topology: Topology,
): ChosenEndpoints {
  const ready = candidates.filter(isReady);
  const terminating = candidates.filter(isServingWhileTerminating);
  let cluster = none;
  if (uses.cluster) cluster = ready.length > 0 ? followHints(ready, topology) : terminating;
  let local = none;
  if (uses.local) {
    local = ready.filter((candidate) => candidate.planned.isLocal);
    if (local.length === 0) local = terminating.filter((candidate) => candidate.planned.isLocal);
  }
  return { cluster, local, hasAny: ready.length > 0 || terminating.length > 0 };
}
