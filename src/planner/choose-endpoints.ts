import type { Candidate } from './merge-slices';

/** Which lists a service port's policies need. */
export interface ListsInUse {
  readonly cluster: boolean;
  readonly local: boolean;
}

/** Where the choice is made. */
export interface Topology {
  readonly nodeName: string;
  /** '' where unknown: zone hints are then not followed. */
  readonly zone: string;
}

export interface ChosenEndpoints {
  readonly cluster: readonly Candidate[];
  readonly local: readonly Candidate[];
  /** Somewhere in the cluster there is one that could serve: an empty list is then a matter of policy, not of absence. */
  readonly hasAny: boolean;
}

const none: readonly Candidate[] = [];

function isReady(candidate: Candidate): boolean {
  return candidate.conditions.ready;
}

/** KEP-1669: the last resort, while a rollout leaves nothing that is ready. */
function isServingWhileTerminating({ conditions }: Candidate): boolean {
  return !conditions.ready && conditions.serving && conditions.terminating;
}

/**
 * The ready endpoints that hints leave to this node (KEP-2433, KEP-3015). Hints are followed only where every ready
 * endpoint has them and one is meant for here: node hints first, then zone hints, then all.
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
 * The endpoints of one service port, by readiness, topology hints and traffic policy, as kube-proxy 1.36 chooses. The
 * order of the candidates is kept. Hints touch neither the local list nor the fallback to terminating endpoints, and each
 * list falls back by itself.
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
