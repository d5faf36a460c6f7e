import { noRules, type SavedTables } from '../../src/xtables/parse-save';
import { absent, type Answer, found, unknown } from '../../src/model/answer';
import { parseVersion, type Variant, type VariantTables, weighVariants } from '../../src/xtables/variant';

const chains = (count: number, table: 'nat' | 'filter' = 'nat'): Partial<SavedTables> => ({
  chains: { ...noRules().chains, [table]: new Map(Array.from({ length: count }, (_, i) => [`KUBE-SVC-${i}`, ''])) },
});
const kubelet = { kubeletChains: 1 };
const rules = (foreignRules: number): Partial<SavedTables> => ({ foreignRules });
const missing = 'missing' as const;
const failing = 'failing' as const;
type Saved = Partial<VariantTables> | typeof missing | typeof failing;
const saved = (of: Saved): Answer<VariantTables> =>
  of === missing
    ? absent
    : of === failing
      ? unknown('iptables: exit 71')
      : found({ ...noRules(), unreadable: [], ...of });

test.each<[string, Saved, Saved, Variant | undefined, Variant | undefined]>([
  ['neither works', missing, missing, 'nft', undefined],
  ['nft alone works, whatever the plain command', {}, missing, 'legacy', 'nft'],
  ['legacy alone works', missing, {}, 'nft', 'legacy'],
  [
    'the kubelet uses nft, though legacy has more of all else',
    kubelet,
    { ...chains(9), ...rules(99) },
    'legacy',
    'nft',
  ],
  ['the kubelet uses legacy', { ...chains(9), ...rules(99) }, kubelet, 'nft', 'legacy'],
  [
    'a kubelet left traces in both: one says as much as two',
    { kubeletChains: 2 },
    { ...kubelet, ...chains(1) },
    'nft',
    'legacy',
  ],
  ['more KUBE- chains in nft, in whatever table', chains(3, 'filter'), { ...chains(2), ...rules(99) }, 'legacy', 'nft'],
  ['more KUBE- chains in legacy', { ...chains(2), ...rules(99) }, chains(3), 'nft', 'legacy'],
  ['more rules of others in nft', rules(2), rules(1), 'legacy', 'nft'],
  ['more rules of others in legacy', rules(1), rules(2), 'nft', 'legacy'],
  ['nothing tells: the plain command', {}, {}, 'legacy', 'legacy'],
  ['nothing tells: the plain command', {}, {}, 'nft', 'nft'],
  ['nothing tells, and no plain command', {}, {}, undefined, 'nft'],
])('%s', (_, nft, legacy, plain, variant) => {
  const choice = weighVariants({ nft: saved(nft), legacy: saved(legacy) }, plain);
  expect(choice?.variant).toBe(variant);
  expect(choice?.doubt).toBeUndefined();
});

const inPart = (...unreadable: string[]): Partial<VariantTables> => ({ unreadable });
const ours = chains(5);

test.each<[string, Saved, Saved, Variant | undefined, Variant, asks: number]>([
  ['nft fails, and nothing tells of legacy', failing, {}, undefined, 'nft', 15],
  ['nft fails, and legacy has rules of others alone', failing, rules(50), 'nft', 'nft', 15],
  ['nft fails, and our rules are in legacy', failing, ours, 'nft', 'legacy', 5],
  ['nft fails, and the kubelet uses legacy', failing, kubelet, 'nft', 'legacy', 0],
  ['legacy fails, and our rules are in nft', ours, failing, 'legacy', 'nft', 5],
  ['legacy fails, and nothing tells', {}, failing, 'legacy', 'legacy', 15],
  ['both fail', failing, failing, 'legacy', 'legacy', 15],
  ['both fail, and the plain command too', failing, failing, undefined, 'nft', 15],
  [
    'nft in part: what can be seen of ours counts',
    { ...inPart('nat'), ...chains(1, 'filter') },
    {},
    'legacy',
    'nft',
    0,
  ],
  [
    'nft in part: it may have more than can be seen',
    { ...inPart('nat'), ...chains(1, 'filter') },
    ours,
    'legacy',
    'nft',
    0,
  ],
  ['nft in part, without a sign of us', inPart('raw'), ours, 'nft', 'legacy', 0],
  ['nft in part, without any sign', inPart('filter'), {}, 'nft', 'nft', 0],
  ['nft in part, and the kubelet uses legacy', { ...inPart('filter'), ...ours }, kubelet, 'nft', 'legacy', 0],
])('cannot tell: %s', (_, nft, legacy, plain, variant, asks) => {
  const choice = weighVariants({ nft: saved(nft), legacy: saved(legacy) }, plain);
  expect(choice).toMatchObject({ variant, doubt: { worthAsking: asks } });
  expect(choice?.doubt?.reason).not.toBe('');
});

test('the only variant that is installed needs no reading', () => {
  expect(weighVariants({ nft: saved(failing), legacy: saved(missing) }, 'legacy')).toEqual({ variant: 'nft' });
  expect(weighVariants({ nft: saved(missing), legacy: saved(failing) }, 'nft')).toEqual({ variant: 'legacy' });
});

test.each([
  ['iptables v1.8.9 (nf_tables)\n', { version: '1.8.9', variant: 'nft' }],
  ['iptables v1.8.9 (legacy)\n', { version: '1.8.9', variant: 'legacy' }],
  ['iptables v1.6.1\n', { version: '1.6.1', variant: 'legacy' }],
  ['ip6tables v1.8.11 (nf_tables)', { version: '1.8.11', variant: 'nft' }],
  ['BusyBox', undefined],
])('%j', (text, version) => {
  expect(parseVersion(text)).toEqual(version);
});
