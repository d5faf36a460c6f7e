/** The requests that a station takes, by name. Both ends of its pipe use this. */
import type { Answer, HttpAnswer, ProbeRequest, Target } from '../prober';
import type { SteadyReport, SteadyRequest } from '../prober-steady';

export interface StationRequests {
  probe: { request: ProbeRequest; reply: Answer[] };
  http: { request: { url: string; timeoutMs?: number }; reply: HttpAnswer };
  hold: { request: Target; reply: { id: number; answer: Answer } };
  ask: { request: { id: number }; reply: Answer };
  release: { request: { id: number; reset?: boolean }; reply: null };
  'steady-start': { request: SteadyRequest; reply: { id: number } };
  'steady-stop': { request: { id: number }; reply: SteadyReport };
  read: { request: { path: string }; reply: string };
  relay: { request: { port: number; socketPath: string }; reply: null };
}

export type StationOperation = keyof StationRequests;
export type RequestOf<O extends StationOperation> = StationRequests[O]['request'];
export type ReplyOf<O extends StationOperation> = StationRequests[O]['reply'];

/** A request and its reply are one line of JSON each. */
export interface RequestLine {
  readonly id: number;
  readonly operation: StationOperation;
  readonly request: unknown;
}
export type ReplyLine =
  | { readonly id: number; readonly reply: unknown }
  | { readonly id: number; readonly error: string };
