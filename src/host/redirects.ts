/** Redirects as Go's http.Client follows them. Pure. */
import type { HttpRequest } from './http-request';

export const mostRedirects = 10;

/** Credentials and what acts like them. */
function isSecret(header: string): boolean {
  return /^(authorization|cookie2?|www-authenticate|proxy-auth.*|impersonate-.*)$/i.test(header);
}

/** Go's rule: credentials go to the host that they were for, and to its subdomains. Never in clear after a start in secret. */
export function mayHaveSecrets(from: URL, to: URL): boolean {
  if (from.protocol === 'https:' && to.protocol !== 'https:') return false;
  return to.hostname === from.hostname || (/[a-z]/.test(from.hostname) && to.hostname.endsWith(`.${from.hostname}`));
}

/** The request that a redirect asks for; undefined where the answer is none that is followed. Throws where it leads nowhere. */
export function redirected(
  request: HttpRequest,
  first: URL,
  status: number,
  location: string | undefined,
): HttpRequest | undefined {
  const keepsMethod = status === 307 || status === 308;
  if (location === undefined || (!keepsMethod && ![301, 302, 303].includes(status))) return undefined;
  // A POST that became a GET would not do what was asked for.
  if (!keepsMethod && (request.method ?? 'GET') !== 'GET') return undefined;
  const url = URL.canParse(location, request.url.href) ? new URL(location, request.url.href) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw new Error(`redirected to ${location.slice(0, 200)}`);
  if (mayHaveSecrets(first, url)) return { ...request, url };
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !isSecret(name)));
  return { ...request, url, headers };
}
