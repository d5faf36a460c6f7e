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
      /** The text of Retry-After, if it is not a number. */
      readonly retryAfter?: string;
    }
  /** This text is sent instead of the answer. With isOpen the connection stays open after it. */
  | {
      readonly kind: 'text';
      readonly text: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly isOpen?: boolean;
    }
  | { readonly kind: 'redirect'; readonly status: number; readonly location: string }
  /** The connection is destroyed without an answer. */
  | { readonly kind: 'reset' }
  /** The request is accepted and never answered. */
  | { readonly kind: 'silence' }
  /** The status line and the headers are sent, and nothing after them. */
  | { readonly kind: 'silent-body' }
  /** The connection is destroyed after this many bytes of the body. */
  | { readonly kind: 'cut'; readonly afterBytes: number };

export interface FakeRequest {
  readonly method: string;
  readonly verb: 'list' | 'watch' | 'get' | 'put' | 'delete';
  readonly resource: FakeResource | undefined;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  /** The client's port. Each connection has another one. */
  readonly port: number;
  /** The client presented a certificate that the server's authority has signed. */
  readonly certified: boolean;
}

export interface FailureMatch {
  readonly verb?: FakeRequest['verb'];
  readonly resource?: FakeResource;
  /** Only pages after the first. */
  readonly continued?: boolean;
  /** Only watches that begin where another one ended. */
  readonly resumed?: boolean;
  /** Default 1. */
  readonly times?: number;
}

/** They may be set at any time, and apply to the requests that follow. */
export interface FakeFaults {
  /** WatchList is answered with 422, as by servers on which the feature is off. */
  refuseWatchList?: boolean;
  /** The objects are sent as ADDED events without a bookmark after them, as by servers that do not know the feature. */
  ignoreWatchList?: boolean;
  lackDiscovery?: boolean;
  /** As during its start: EndpointSlices are answered with 404, and the list of APIs either names them or does not exist yet. */
  isStarting?: 'named' | 'unavailable';
  /** Field selectors other than metadata.name are answered with 400. */
  refuseFieldSelectors?: boolean;
  /** Pages are ignored, as by a watch cache. */
  ignoreLimit?: boolean;
  /** An expired version is answered with HTTP 410 instead of an ERROR event. */
  goneAsStatus?: boolean;
  /** Requests with other tokens get 401. */
  token?: string;
  /** SelfSubjectAccessReviews of `list services`, `patch events.k8s.io/events` that are denied. */
  denied?: readonly string[];
  /** Bodies are sent slowly: this many bytes in each write, and a write every `everyMs` milliseconds. */
  slow?: { readonly bytes: number; readonly everyMs: number };
}

/** The next requests that match fail in this way. */
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

/** Returns the first planned failure that matches, and uses it up. */
export function takeFailure(planned: PlannedFailure[], request: FakeRequest): FakeFailure | undefined {
  const at = planned.findIndex(({ match }) => matches(match, request));
  const found = planned[at];
  if (found === undefined) return undefined;
  if (--found.times === 0) planned.splice(at, 1);
  return found.failure;
}

/** What the switches do to a request. */
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
