export interface HttpRequest {
  readonly url: URL;
  /** Default: GET. A request is sent again if the server just closed the idle connection that it was sent over. */
  readonly method?: 'GET' | 'POST' | 'PATCH';
  readonly body?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** The longest silence before the status line, including the time to connect. */
  readonly responseTimeoutMs: number;
}
