import type { SliceEndpoint } from '../../src/model/cluster';
import { chooseEndpoints } from '../../src/planner/choose-endpoints';
import { mergeSlices } from '../../src/planner/merge-slices';
import { makeEndpoint, makeSlice } from '../support/cluster-objects';

const both = { cluster: true, local: true };
const here = { nodeName: 'node', zone: 'z1' };
const ready = {};
const unready = { ready: false, serving: false };
const terminating = { ready: false, serving: true, terminating: true };
const gone = { ready: false, serving: false, terminating: true };
const local = { nodeName: 'node' };
const z1 = { zoneHints: ['z1'] };
const z2 = { zoneHints: ['z2'] };
const onNode = { nodeHints: ['node'] };
const onNode2 = { nodeHints: ['node2'] };

/** Endpoints are numbered by their place; the lists are those numbers. */
function choose(endpoints: readonly Partial<SliceEndpoint>[], uses = both, topology = here): object {
  const slice = makeSlice(endpoints.map((fields, i) => makeEndpoint(`10.0.0.${i}`, fields)));
  const candidates = mergeSlices([slice], 'IPv4', topology.nodeName).get('TCP ') ?? [];
  const { cluster, local, hasAny } = chooseEndpoints(candidates, uses, topology);
  const numbers = (list: typeof cluster): string =>
    list.map(({ planned }) => planned.address.slice('10.0.0.'.length)).join('');
  return { cluster: numbers(cluster), local: numbers(local), hasAny };
}

test.each<[string, Partial<SliceEndpoint>[], string, string, boolean]>([
  ['none at all', [], '', '', false],
  ['ready ones, those of this node too', [ready, local], '01', '1', true],
  ['unready ones serve nobody', [unready, { ...unready, ...local }], '', '', false],
  ['ready beats terminating', [ready, terminating], '0', '', true],
  ['terminating ones where none is ready', [terminating, { ...terminating, ...local }, unready], '01', '1', true],
  ['terminating ones that no longer serve do not', [gone, { ...gone, ...local }], '', '', false],
  ['serving but neither ready nor terminating is unready', [{ ready: false }], '', '', false],
  ['ready and terminating (publishNotReadyAddresses) is ready', [{ terminating: true }, terminating], '0', '', true],
  ['each list falls back by itself', [ready, { ...terminating, ...local }], '0', '1', true],
  ['no terminating ones beside a ready one of this node', [local, { ...terminating, ...local }], '0', '0', true],
  ['zone hints', [z1, z2, { ...z1, ...local }], '02', '2', true],
  ['one ready endpoint without a hint disables hints', [z1, z2, ready], '012', '', true],
  ['an unready one without a hint does not', [z1, z2, unready], '0', '', true],
  ['a terminating one without a hint does not', [z1, z2, terminating], '0', '', true],
  ['no hint for this zone', [z2, z2], '01', '', true],
  ['one of several hints is enough', [{ zoneHints: ['z2', 'z1'] }, z2], '0', '', true],
  [
    'node hints before zone hints',
    [
      { ...onNode, ...z2 },
      { ...onNode2, ...z1 },
    ],
    '0',
    '',
    true,
  ],
  [
    'zone hints where no node hint is for here',
    [
      { ...onNode2, ...z1 },
      { ...onNode2, ...z2 },
    ],
    '0',
    '',
    true,
  ],
  ['zone hints where one has no node hint', [{ ...onNode, ...z2 }, z1], '1', '', true],
  [
    'all where neither is for here',
    [
      { ...onNode2, ...z2 },
      { ...onNode2, ...z2 },
    ],
    '01',
    '',
    true,
  ],
  [
    'no hints among terminating ones',
    [
      { ...terminating, ...z2 },
      { ...terminating, ...z1 },
    ],
    '01',
    '',
    true,
  ],
  ['no hints in the local list', [{ ...local, ...z2 }, z1], '1', '0', true],
])('%s', (_what, endpoints, cluster, local, hasAny) => {
  expect(choose(endpoints)).toEqual({ cluster, local, hasAny });
});

test('a node without a zone follows no zone hints', () => {
  expect(choose([z1, z2, { zoneHints: [''] }], both, { nodeName: 'node', zone: '' })).toMatchObject({ cluster: '012' });
});

test('a node without a name has no local endpoints', () => {
  expect(choose([ready, { nodeName: '' }], both, { nodeName: '', zone: '' })).toMatchObject({ local: '' });
});

test('lists that no policy needs stay empty, and absence is judged by all', () => {
  const endpoints = [ready, local];
  expect(choose(endpoints, { cluster: false, local: true })).toEqual({ cluster: '', local: '1', hasAny: true });
  expect(choose(endpoints, { cluster: true, local: false })).toEqual({ cluster: '01', local: '', hasAny: true });
  expect(choose([ready], { cluster: false, local: true })).toEqual({ cluster: '', local: '', hasAny: true });
});
