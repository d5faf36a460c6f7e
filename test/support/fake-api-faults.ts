/** What can go wrong with a request to the fake API server, and when. */
import type { IncomingHttpHeaders } from 'node:http';
import type { FakeResource } from './fake-api-store';

export type FakeFailure =
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly reason?: string;
      readonly message?: string;
      readonly retryAfterSeconds?: number;
      /** Retry-After as it is sent, where it is no number. */
      readonly retryAfter?: string;
    }
  /** This text instead of the answer; with isOpen the connection stays open after it. */
  | {
      readonly kind: 'text';
      readonly text: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly isOpen?: boolean;
    }
  | { readonly kind: 'redirect'; readonly status: number; readonly location: string }
  /** The connection is destroyed without an answer. */
  | { readonly kind: 'reset' }
  /** The request is taken and never answered. */
  | { readonly kind: 'silence' }
  /** The status line and headers come, and nothing after them. */
  | { readonly kind: 'silent-body' }
  /** The connection is destroyed after so many bytes of the body. */
  | { readonly kind: 'cut'; readonly afterBytes: number };

export interface FakeRequest {
  readonly method: string;
  readonly verb: 'list' | 'watch' | 'get' | 'put' | 'delete';
  readonly resource: FakeResource | undefined;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  /** Of the client: one connection, one port. */
  readonly port: number;
  /** The client showed a certificate of the server's authority. */
  readonly certified: boolean;
}

export interface FailureMatch {
  readonly verb?: FakeRequest['verb'];
  readonly resource?: FakeResource;
  /** Only pages after the first. */
  readonly continued?: boolean;
  /** Only watches that begin where another ended. */
  readonly resumed?: boolean;
  /** Default 1. */
  readonly times?: number;
}

/** Set them at any time; they hold for requests that come after. */
export interface FakeFaults {
  /** 422, as servers with the feature off. */
  refuseWatchList?: boolean;
  /** Objects as ADDED events and no bookmark after them, as servers that never heard of it. */
  ignoreWatchList?: boolean;
  lackDiscovery?: boolean;
  /** As while it starts: EndpointSlices are answered with a 404, and its list of APIs names them or is not there yet. */
  isStarting?: 'named' | 'unavailable';
  /** 400 for fields other than metadata.name. */
  refuseFieldSelectors?: boolean;
  /** Pages are ignored, as by a watch cache. */
  ignoreLimit?: boolean;
  /** An expired version is answered with HTTP 410 instead of an ERROR event. */
  goneAsStatus?: boolean;
  /** Others get 401. */
  token?: string;
  /** SelfSubjectAccessReviews of `list services`, `patch events.k8s.io/events` that are denied. */
  denied?: readonly string[];
  /** Bodies dribble: so many bytes at a time, one write each everyMs. */
  slow?: { readonly bytes: number; readonly everyMs: number };
}

/** The next requests that match fail so. */
export interface PlannedFailure {
  readonly match: FailureMatch;
  readonly failure: FakeFailure;
  times: number;
}

function matches(match: FailureMatch, request: FakeRequest): boolean {
  return (
    (match.verb === undefined || match.verb === request.verb) &&
    (match.resource === undefined || match.resource === request.resource) &&
    (match.continued !== true || request.query['continue'] !== undefined) &&
    (match.resumed !== true || (request.verb === 'watch' && request.query['sendInitialEvents'] === undefined))
  );
}

/** The first planned failure that matches, which is used up by it. */
export function takeFailure(planned: PlannedFailure[], request: FakeRequest): FakeFailure | undefined {
  const at = planned.findIndex(({ match }) => matches(match, request));
  const found = planned[at];
  if (found === undefined) return undefined;
  if (--found.times === 0) planned.splice(at, 1);
  return found.failure;
}

/** What the switches make of a request. */
export function switchedFailure(
  faults: FakeFaults,
  certificateNeeded: boolean,
  request: FakeRequest,
): FakeFailure | undefined {
  const status = (code: number, message: string): FakeFailure => ({ kind: 'status', status: code, message });
  const { fieldSelector = '', sendInitialEvents } = request.query;
  if (faults.token !== undefined && request.headers.authorization !== `Bearer ${faults.token}`)
    return status(401, 'Unauthorized');
  if (certificateNeeded && !request.certified) return status(401, 'Unauthorized');
  if ((faults.lackDiscovery === true || faults.isStarting !== undefined) && request.resource === 'endpointslices')
    return status(404, '404 page not found');
  if (faults.refuseFieldSelectors === true && fieldSelector.startsWith('spec.'))
    return status(400, 'field label not supported');
  if (faults.refuseWatchList === true && sendInitialEvents !== undefined)
    return status(422, 'sendInitialEvents is forbidden');
  return undefined;
}
