/** The daemon's report about itself, for `vipwire status` and for browsers. It is given only to clients on this host. */
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

/** Returns the pages by path. */
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

/** Parses `?search=shop/cart&offset=0&limit=50`. */
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
    else sendText(response, 403, 'only clients on this host may see this\n');
  };
}

/**
 * Whether the client is on this host and has asked by address or as localhost. Another name could be an attacker's that points to this
 * host (DNS rebinding), and a browser on this host would then let the attacker's page read the answer.
 */
export function isOfThisHost(remoteAddress: string, localAddress: string, hostHeader: string): boolean {
  const isNear = remoteAddress === localAddress || /^(::ffff:)?127\.|^::1$/.test(remoteAddress);
  const host = hostHeader.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return isNear && (host === 'localhost' || isIP(host) !== 0);
}
