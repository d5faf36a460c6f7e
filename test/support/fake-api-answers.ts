/** The answers of the fake API server, made of the objects that it has. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { type FakeBody, refuse, statusText, writeJoined } from './fake-api-body';
import type { FakeFailure, FakeFaults, FakeRequest } from './fake-api-faults';
import { apiVersionOf, type FakeResource, kindOf, pathOf, type StoredObject } from './fake-api-store';

export const reviewPath = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

interface AccessReview {
  readonly spec: {
    readonly resourceAttributes: { readonly verb: string; readonly group?: string; readonly resource: string };
  };
}

/** Returns true if the request gets nothing but this failure. */
export function answerFailure(failure: FakeFailure, response: ServerResponse): boolean {
  switch (failure.kind) {
    case 'silence':
      return true;
    case 'reset':
      response.socket?.destroy();
      return true;
    case 'redirect':
      response.writeHead(failure.status, { location: failure.location }).end();
      return true;
    case 'text':
      response.writeHead(200, { 'content-type': 'application/json', ...failure.headers });
      if (failure.isOpen === true) response.write(failure.text);
      else response.end(failure.text);
      return true;
    default:
      return false;
  }
}

/** A watch that begins before the last compaction. */
export function answerExpired(body: FakeBody, asStatus: boolean): void {
  if (asStatus) {
    refuse(body.response, { status: 410, reason: 'Expired', message: 'too old resource version' });
    return;
  }
  body.response.flushHeaders();
  body.write(`{"type":"ERROR","object":${statusText(410, 'Expired', 'too old resource version')}}\n`);
  body.end();
}

export async function answerReview(
  faults: FakeFaults,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const review = JSON.parse(await text(incoming)) as AccessReview;
  const { verb, group = '', resource } = review.spec.resourceAttributes;
  const what = `${verb} ${group === '' ? '' : `${group}/`}${resource}`;
  const allowed = !(faults.denied ?? []).includes(what);
  response
    .writeHead(201, { 'content-type': 'application/json' })
    .end(JSON.stringify({ ...review, status: { allowed } }));
}

export function answerGroups(faults: FakeFaults, response: ServerResponse): void {
  if (faults.isStarting === 'unavailable') {
    refuse(response, { status: 503, message: 'starting' });
    return;
  }
  const versions = faults.lackDiscovery === true ? [] : [{ groupVersion: 'discovery.k8s.io/v1', version: 'v1' }];
  response.writeHead(200, { 'content-type': 'application/json' }).end(
    JSON.stringify({
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: [
        { name: 'apps', versions: [{ groupVersion: 'apps/v1', version: 'v1' }] },
        { name: 'discovery.k8s.io', versions },
      ],
    }),
  );
}

/** A page with these objects at this version. */
export function answerList(
  { version, isUnlimited }: { readonly version: number; readonly isUnlimited: boolean },
  query: FakeRequest['query'],
  objects: readonly StoredObject[],
  resource: FakeResource,
  body: FakeBody,
): void {
  const after = Buffer.from(query['continue'] ?? '', 'base64url').toString();
  const limit = isUnlimited ? Infinity : Number(query['limit'] ?? Infinity);
  const left = objects.filter(({ key }) => key > after);
  const page = left.slice(0, limit);
  const last = page.length < left.length ? page.at(-1) : undefined;
  const token = last === undefined ? {} : { continue: Buffer.from(last.key).toString('base64url') };
  const metadata = JSON.stringify({ resourceVersion: String(version), ...token });
  body.write(
    `{"kind":"${kindOf[resource]}List","apiVersion":"${apiVersionOf(resource)}","metadata":${metadata},"items":[`,
  );
  writeJoined(
    body,
    page.map(({ json }, i) => (i === 0 ? json : `,${json}`)),
  );
  body.write(']}\n');
  body.end();
}

export function bookmarkLine(resource: FakeResource, version: number, initialEventsEnd: boolean): string {
  const annotations = initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
  const metadata = { resourceVersion: String(version), ...annotations };
  const object = { kind: kindOf[resource], apiVersion: apiVersionOf(resource), metadata };
  return `${JSON.stringify({ type: 'BOOKMARK', object })}\n`;
}

/** `user` is inserted unchanged. */
export function kubeconfigText(
  server: string,
  ca: string | undefined,
  user: Readonly<Record<string, unknown>>,
): string {
  const authority = ca === undefined ? {} : { 'certificate-authority-data': Buffer.from(ca).toString('base64') };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'fake', cluster: { server, ...authority } }],
    users: [{ name: 'fake', user }],
    contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake' } }],
    'current-context': 'fake',
  });
}

/** `/api/v1/services`, `/api/v1/nodes/N`, `/api/v1/namespaces/NS/services/N` and the same of other groups. */
function parsePath(path: string): { readonly resource: FakeResource | undefined; readonly key?: string } {
  for (const [resource, whole] of Object.entries(pathOf) as [FakeResource, string][]) {
    if (path === whole) return { resource };
    if (resource === 'nodes' && path.startsWith(`${whole}/`)) return { resource, key: path.slice(whole.length + 1) };
    const [, namespace, name] =
      new RegExp(`^${whole.replace(resource, '')}namespaces/([^/]+)/${resource}/([^/]+)$`).exec(path) ?? [];
    if (namespace !== undefined && name !== undefined) return { resource, key: `${namespace}/${name}` };
  }
  return { resource: undefined };
}

function verbOf(method: string): 'get' | 'put' | 'delete' {
  return method === 'PUT' ? 'put' : method === 'DELETE' ? 'delete' : 'get';
}

/** `key` is set if the path is that of one object. */
export function parseRequest(
  incoming: IncomingMessage,
  url: URL,
): { readonly request: FakeRequest; readonly key: string | undefined } {
  const { resource, key } = parsePath(url.pathname);
  const query = Object.fromEntries(url.searchParams);
  const { headers, method = 'GET', socket } = incoming;
  const verb = key === undefined ? (query['watch'] === undefined ? 'list' : 'watch') : verbOf(method);
  const certified = 'authorized' in socket && socket.authorized === true;
  return { request: { method, verb, resource, query, headers, port: socket.remotePort ?? 0, certified }, key };
}
