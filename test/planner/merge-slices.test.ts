import type { EndpointSlice } from '../../src/model/cluster';
import { mergeSlices } from '../../src/planner/merge-slices';
import { makeEndpoint, makeSlice } from '../support/cluster-objects';

function texts(slices: readonly EndpointSlice[], match = 'TCP ', family: 'IPv4' | 'IPv6' = 'IPv4'): string[] {
  return (mergeSlices(slices, family, 'node').get(match) ?? []).map(({ text }) => text);
}

test('sorts by the text of address:port', () => {
  const v4 = ['9.0.0.1', '10.0.0.1', '10.0.0.10', '10.0.0.2'].map((address) => makeEndpoint(address));
  expect(texts([makeSlice(v4)])).toEqual(['10.0.0.10:8080', '10.0.0.1:8080', '10.0.0.2:8080', '9.0.0.1:8080']);
  const v6 = ['fd00:244::1', 'fd00:244:1::2'].map((address) => makeEndpoint(address));
  expect(texts([makeSlice(v6, { family: 'IPv6' })], 'TCP ', 'IPv6')).toEqual([
    '[fd00:244:1::2]:8080',
    '[fd00:244::1]:8080',
  ]);
});

test('keeps ports apart by name and protocol, and families', () => {
  const slices = [
    makeSlice([makeEndpoint('10.0.0.1')], {
      ports: [
        { name: 'dns', protocol: 'UDP', port: 53 },
        { name: 'dns', protocol: 'TCP', port: 54 },
        { name: '', protocol: 'TCP', port: 8080 },
      ],
    }),
    makeSlice([makeEndpoint('fd00::1')], { name: 'web-2', family: 'IPv6' }),
  ];
  expect(texts(slices, 'UDP dns')).toEqual(['10.0.0.1:53']);
  expect(texts(slices, 'TCP dns')).toEqual(['10.0.0.1:54']);
  expect(texts(slices)).toEqual(['10.0.0.1:8080']);
  expect(texts(slices, 'TCP ', 'IPv6')).toEqual(['[fd00::1]:8080']);
});

describe('one address:port in two slices', () => {
  const terminating = { ready: false, terminating: true };
  const chosen = (a: object, b: object): unknown => {
    const slices = [
      makeSlice([makeEndpoint('10.0.0.1', { ...a, target: 'Pod/a' })], { name: 'web-a' }),
      makeSlice([makeEndpoint('10.0.0.1', { ...b, target: 'Pod/b' })], { name: 'web-b' }),
    ];
    const pick = (list: readonly EndpointSlice[]): unknown =>
      mergeSlices(list, 'IPv4', 'node')
        .get('TCP ')
        ?.map(({ conditions }) => conditions.target)
        .join();
    expect(pick(slices.toReversed())).toBe(pick(slices));
    return pick(slices);
  };

  test.each([
    ['the later name, of two that live', {}, {}, 'Pod/b'],
    ['the later name, though it is unready', {}, { ready: false }, 'Pod/b'],
    ['the one that lives, if it comes first', {}, terminating, 'Pod/a'],
    ['the one that lives, if it comes last', terminating, {}, 'Pod/b'],
    ['an unready one before a terminating one', { ready: false }, terminating, 'Pod/a'],
    ['the first of two that terminate', terminating, terminating, 'Pod/a'],
  ])('%s', (_what, a, b, expected) => {
    expect(chosen(a, b)).toBe(expected);
  });
});

test('the same port number under two names has its own candidates', () => {
  const slice = makeSlice([makeEndpoint('10.0.0.1', { nodeName: 'node' })], {
    ports: [
      { name: 'a', protocol: 'TCP', port: 80 },
      { name: 'b', protocol: 'TCP', port: 80 },
    ],
  });
  const merged = mergeSlices([slice], 'IPv4', 'node');
  for (const match of ['TCP a', 'TCP b']) {
    expect(merged.get(match)?.map(({ planned }) => planned)).toEqual([
      { address: '10.0.0.1', port: 80, isLocal: true },
    ]);
  }
});
