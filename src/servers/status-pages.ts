/** What the daemon knows about itself, for `vipwire status` and for people with a browser: to whoever is on this host, and to nobody else. */
import type { RequestListener } from 'node:http';
import { isIP } from 'node:net';
import type { ListRequest, ServiceList } from '../planner/list-services';
import type { DaemonStatus } from '../telemetry/status';
import { sendJson, sendText } from './send';
import { statusPage, statusPagePolicy } from './status-page';

export interface StatusPagesOptions {
  readonly status: () => DaemonStatus;
  readonly services: (request: ListRequest) => ServiceList;
}

const mostListed = 200;

/** By path. */
export function statusPages({ status, services }: StatusPagesOptions): Record<string, RequestListener> {
  return {
    '/': onThisHost((_, response) =>
      sendText(response, 200, statusPage, {
        'Content-Type': 'text/html; charset=utf-8',
        'Content-Security-Policy': statusPagePolicy,
        'Cache-Control': 'no-store',
      }),
    ),
    '/vipwire/status': onThisHost((_, response) => sendJson(response, 200, JSON.stringify(status()))),
    '/vipwire/services': onThisHost((request, response) =>
      sendJson(response, 200, JSON.stringify(services(parseListRequest(request.url ?? '')))),
    ),
  };
}

/** `?search=shop/cart&offset=0&limit=50` */
function parseListRequest(url: string): ListRequest {
  const { searchParams } = new URL(url, 'http://localhost');
  const whole = (name: string, initial: number): number => {
    const text = searchParams.get(name) ?? '';
    return /^\d{1,6}$/.test(text) ? Number(text) : initial;
  };
  return {
    search: searchParams.get('search') ?? '',
    offset: whole('offset', 0),
    limit: Math.min(whole('limit', mostListed), mostListed),
  };
}

function onThisHost(answer: RequestListener): RequestListener {
  return (request, response) => {
    const { remoteAddress = '', localAddress = '' } = request.socket;
    if (isOfThisHost(remoteAddress, localAddress, request.headers.host ?? '')) answer(request, response);
    else sendText(response, 403, 'this is told on the host itself alone\n');
  };
}

/**
 * The other end is this host, and was asked for by an address: a name that somebody else lets point here would make a browser
 * on this host tell a foreign page what it reads.
 */
export function isOfThisHost(remoteAddress: string, localAddress: string, hostHeader: string): boolean {
  const isNear = remoteAddress === localAddress || /^(::ffff:)?127\.|^::1$/.test(remoteAddress);
  const host = hostHeader.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return isNear && (host === 'localhost' || isIP(host) !== 0);
}
