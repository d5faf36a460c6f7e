/** Follows redirects as Go's http.Client does. Pure. */
import type { HttpRequest } from './http-request';

export const mostRedirects = 10;

/** Whether a header carries credentials, or something that acts like them. */
function isSecret(header: string): boolean {
  return /^(authorization|cookie2?|www-authenticate|proxy-auth.*|impersonate-.*)$/i.test(header);
}

/** Go's rule: credentials go only to the host that they were meant for and its subdomains, and never from https to http. */
export function mayHaveSecrets(from: URL, to: URL): boolean {
  if (from.protocol === 'https:' && to.protocol !== 'https:') return false;
  return to.hostname === from.hostname || (/[a-z]/.test(from.hostname) && to.hostname.endsWith(`.${from.hostname}`));
}

/** Returns the request that a redirect asks for, or undefined for an answer that is not followed. Throws where the URL cannot be used. */
export function redirected(
  request: HttpRequest,
  first: URL,
  status: number,
  location: string | undefined,
): HttpRequest | undefined {
  const keepsMethod = status === 307 || status === 308;
  if (location === undefined || (!keepsMethod && ![301, 302, 303].includes(status))) return undefined;
  // These codes would turn a POST into a GET, which does something else.
  if (!keepsMethod && (request.method ?? 'GET') !== 'GET') return undefined;
  const url = URL.canParse(location, request.url.href) ? new URL(location, request.url.href) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw new Error(`redirected to ${location.slice(0, 200)}`);
  if (mayHaveSecrets(first, url)) return { ...request, url };
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !isSecret(name)));
  return { ...request, url, headers };
}
