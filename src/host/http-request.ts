export interface HttpRequest {
  readonly url: URL;
  /** Default: GET. One that is sent over an idle connection which the server just closed is sent again. */
  readonly method?: 'GET' | 'POST' | 'PATCH';
  readonly body?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Longest silence before the status line, connecting included. */
  readonly responseTimeoutMs: number;
}
