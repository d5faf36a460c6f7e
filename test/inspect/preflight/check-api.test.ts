import { checkApi } from '../../../src/inspect/preflight/check-api';
import { ApiError } from '../../../src/sources/kubernetes/api-client';

interface Review {
  readonly spec: { readonly resourceAttributes: { readonly verb: string; readonly resource: string } };
}

/** `LEVEL what`, of a server that denies these or fails so, at every question or at one. */
async function found(
  denied: readonly string[],
  failure?: unknown,
  at?: string,
  readsServiceCIDRs = false,
): Promise<string[]> {
  const post = (_path: string, review: unknown): Promise<unknown> => {
    const { verb, resource } = (review as Review).spec.resourceAttributes;
    if (failure !== undefined && (at ?? `${verb} ${resource}`) === `${verb} ${resource}`)
      return failure instanceof Error ? Promise.reject(failure) : Promise.resolve(failure);
    return Promise.resolve({ status: { allowed: !denied.includes(`${verb} ${resource}`) } });
  };
  return (await checkApi({ server: 'https://a', post }, { readsServiceCIDRs })).map(
    ({ level, what }) => `${level} ${what}`,
  );
}

test.each<[string, readonly string[], Error | undefined, string[]]>([
  ['all', [], undefined, ['ok https://a', 'ok list and watch Services, EndpointSlices, Nodes; write events']],
  [
    'what it needs',
    ['watch services', 'list endpointslices'],
    undefined,
    ['ok https://a', 'fail not: watch services, list discovery.k8s.io/endpointslices'],
  ],
  [
    'what it can do without',
    ['watch nodes', 'create events'],
    undefined,
    [
      'ok https://a',
      'warn not: watch nodes; zone, addresses and podCIDRs of the node stay unknown',
      'warn not: create events.k8s.io/events; no events on the Node',
    ],
  ],
  ['nobody there', [], new Error('connect ECONNREFUSED'), ['fail https://a: connect ECONNREFUSED']],
  ['a stranger', [], new ApiError(401, 'Unauthorized', 'Unauthorized'), ['fail https://a: 401 Unauthorized']],
])('%s', async (_what, denied, failure, findings) => {
  expect(await found(denied, failure)).toEqual(findings);
});

test.each<[string, unknown, string]>([
  ['an error', new ApiError(503, '', 'busy'), '503 busy'],
  ['an object that says nothing', {}, 'the answer is not a SelfSubjectAccessReview'],
  ['null', null, 'the answer is not a SelfSubjectAccessReview'],
  ['a Status', { kind: 'Status', status: 'Failure' }, 'the answer is not a SelfSubjectAccessReview'],
])('one question that is answered with %s is neither a yes nor a no', async (_what, answer, why) => {
  expect(await found([], answer, 'watch services')).toEqual([
    'ok https://a',
    `warn cannot tell: watch services: ${why}`,
  ]);
});

test('ServiceCIDRs are asked about in modes that read them', async () => {
  const denied = ['list servicecidrs', 'watch servicecidrs'];
  expect(await found(denied)).toEqual([
    'ok https://a',
    'ok list and watch Services, EndpointSlices, Nodes; write events',
  ]);
  expect(await found(denied, undefined, undefined, true)).toEqual([
    'ok https://a',
    'warn not: list networking.k8s.io/servicecidrs, watch networking.k8s.io/servicecidrs; packets to unused addresses of Services are not dropped',
  ]);
});
