import { noRules, type SavedTables } from '../../src/xtables/parse-save';
import { chooseVariant, parseVersion, type Variant } from '../../src/xtables/variant';

const chains = (count: number, table: 'nat' | 'filter' = 'nat'): Partial<SavedTables> => ({
  chains: { ...noRules().chains, [table]: new Map(Array.from({ length: count }, (_, i) => [`KUBE-SVC-${i}`, ''])) },
});
const kubelet = { kubeletChains: 1 };
const rules = (foreignRules: number): Partial<SavedTables> => ({ foreignRules });
const missing = 'missing' as const;
type Saved = Partial<SavedTables> | typeof missing;
const saved = (of: Saved): SavedTables | undefined => (of === missing ? undefined : { ...noRules(), ...of });

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
  expect(chooseVariant({ nft: saved(nft), legacy: saved(legacy) }, plain)).toBe(variant);
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
