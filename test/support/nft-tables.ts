/** Random tables with every statement and every kind of set that the nftables backend has. */
import fc from 'fast-check';
import type {
  ChainObject,
  Rule,
  Selector,
  SetElement,
  SetObject,
  Statement,
  TableWrite,
} from '../../src/backends/nftables/objects';
import type { Family } from '../../src/model/address';

export interface SampleTable {
  readonly comment: string;
  readonly sets: readonly { readonly set: SetObject; readonly elements: readonly SetElement[] }[];
  readonly chains: readonly ChainObject[];
}

const endKey = ['address', 'protocol', 'port'] as const;
const chainNames = ['vipwire-pick-2', 'vipwire-refuse', `vipwire-${'long'.repeat(50)}`];
const destination: readonly Selector[] = [{ kind: 'destination' }, { kind: 'protocol' }, { kind: 'port' }];

function addressArb(family: Family): fc.Arbitrary<string> {
  return family === 'IPv4'
    ? fc
        .tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255), fc.nat(255), fc.nat(255))
        .map((octets) => octets.join('.'))
    : fc
        .tuple(
          fc.integer({ min: 0x2000, max: 0xfdff }),
          fc.integer({ min: 1, max: 0xffff }),
          fc.integer({ min: 1, max: 0xffff }),
        )
        .map(([a, b, c]) => `${a.toString(16)}:${b.toString(16)}::${c.toString(16)}`);
}

function cidrArb(family: Family): fc.Arbitrary<string> {
  return family === 'IPv4'
    ? fc.constantFrom('10.244.0.0/16', '10.128.0.0/9', '192.168.88.0/23', '203.0.113.7/32', '10.0.0.0/8', '192.0.2.7')
    : fc.constantFrom('fd44::/16', 'fd44::/17', '2001:db8::/61', 'fd88::10/128', 'fe80::/10', 'fd88::7');
}

const nameArb = fc.constantFrom('default/web:http', `${'n'.repeat(63)}/${'s'.repeat(63)}:${'p'.repeat(63)}`, 'a/b');
const portArb = fc.integer({ min: 1, max: 65535 }).map(String);
const protocolArb = fc.constantFrom('tcp', 'udp', 'sctp');
const verdictArb = fc.constantFrom('drop', 'accept', 'return', ...chainNames.map((name) => `goto ${name}`));
const markArb = fc.constantFrom(0x4000, 1, 0x80000000);

const priorityArb = fc
  .tuple(fc.integer({ min: 1, max: 0xfffe }), fc.nat(0xffff))
  .map((numbers) => numbers.map((number) => number.toString(16)).join(':'));
const memory: SetObject = {
  name: 'vipwire-memory',
  key: ['address'],
  data: ['priority'],
  dynamicSize: 65_536,
};

/** What session affinity does with a packet's priority. */
function priorityRuleArb(): fc.Arbitrary<Rule> {
  const toEndpoint: Statement = { kind: 'dnat', key: [{ kind: 'priority' }], map: 'vipwire-by-priority' };
  return fc
    .record({ seconds: fc.integer({ min: 1, max: 86_400 }), protocol: protocolArb })
    .map(({ seconds, protocol }) => ({
      statements: [
        { kind: 'set-priority', key: [{ kind: 'source' }], map: memory.name },
        { kind: 'forget', map: memory.name },
        { kind: 'set-priority', key: [{ kind: 'numgen', mode: 'random', modulus: 3 }], map: 'vipwire-slots' },
        { kind: 'remember', map: memory.name, seconds },
        { kind: 'protocol', protocol },
        toEndpoint,
      ],
    }));
}

function statementArb(family: Family): fc.Arbitrary<Statement> {
  const side = fc.constantFrom('source' as const, 'destination' as const);
  const indexed = (index: Selector): readonly Selector[] => [...destination, index];
  return fc.oneof(
    fc.record({ kind: fc.constant('address' as const), side, isNot: fc.boolean(), cidr: cidrArb(family) }),
    fc.record({
      kind: fc.constant('interface' as const),
      isNot: fc.boolean(),
      name: fc.constantFrom('cbr0', 'veth*', 'eth0.100', 'a23456789012345'),
    }),
    fc.record({ kind: fc.constant('is-local' as const), side }),
    fc.constantFrom(
      { kind: 'ct-state-new' as const },
      { kind: 'ct-state-old' as const },
      { kind: 'ct-status-dnat' as const },
    ),
    fc.record({ kind: fc.constantFrom('has-mark' as const, 'set-mark' as const, 'flip-mark' as const), mark: markArb }),
    fc.record({
      kind: fc.constant('in-set' as const),
      key: fc.constant([{ kind: 'destination' }] as const),
      set: fc.constant('vipwire-cluster-ips'),
      isNot: fc.boolean(),
    }),
    fc.constant<Statement>({
      kind: 'in-set',
      key: [{ kind: 'source' }, { kind: 'destination' }, { kind: 'protocol' }, { kind: 'port' }],
      set: 'vipwire-live',
    }),
    fc.constant<Statement>({ kind: 'vmap', key: destination, map: 'vipwire-services' }),
    fc.constant<Statement>({ kind: 'vmap', key: [{ kind: 'protocol' }, { kind: 'port' }], map: 'vipwire-node-ports' }),
    fc
      .record({ mode: fc.constantFrom('random' as const, 'inc' as const), modulus: fc.integer({ min: 1, max: 5000 }) })
      .map(
        (numgen): Statement => ({
          kind: 'dnat',
          key: indexed({ kind: 'numgen', ...numgen }),
          map: 'vipwire-endpoints',
        }),
      ),
    fc
      .record({ modulus: fc.integer({ min: 1, max: 4096 }), seed: fc.integer({ min: 1, max: 0x7fffffff }) })
      .map((hash): Statement => ({ kind: 'dnat', key: indexed({ kind: 'hash', ...hash }), map: 'vipwire-endpoints' })),
    fc.record({ kind: fc.constantFrom('jump' as const, 'goto' as const), chain: fc.constantFrom(...chainNames) }),
    fc.constantFrom<Statement>({ kind: 'accept' }, { kind: 'drop' }, { kind: 'return' }),
  );
}

function ruleArb(family: Family): fc.Arbitrary<Rule> {
  return fc
    .tuple(fc.array(statementArb(family), { minLength: 1, maxLength: 5 }), fc.option(nameArb, { nil: undefined }))
    .map(([statements, comment]) => {
      // No statement follows one that decides.
      const end = statements.findIndex(({ kind }) =>
        ['vmap', 'dnat', 'jump', 'goto', 'accept', 'drop', 'return'].includes(kind),
      );
      const whole = end < 0 ? statements : statements.slice(0, end + 1);
      return { statements: whole, ...(comment !== undefined && { comment: comment.slice(0, 127) }) };
    });
}

function elementsArb(
  set: SetObject,
  key: fc.Arbitrary<string>,
  value?: fc.Arbitrary<string>,
): fc.Arbitrary<SampleTable['sets'][number]> {
  const comment = fc.option(nameArb, { nil: undefined });
  return fc
    .uniqueArray(fc.tuple(key, value ?? fc.constant(''), comment), { selector: ([text]) => text, maxLength: 30 })
    .map((all) => ({
      set,
      elements: all.map(([text, to, about]) => ({
        key: text,
        ...(value !== undefined && { value: to }),
        ...(about !== undefined && { comment: about.slice(0, 127) }),
      })),
    }));
}

function tableArb(family: Family): fc.Arbitrary<SampleTable> {
  const address = addressArb(family);
  const end = fc.tuple(address, portArb).map((parts) => parts.join(' . '));
  const vip = fc.tuple(address, protocolArb, portArb).map((parts) => parts.join(' . '));
  const indexed = fc.tuple(vip, fc.nat(5000)).map((parts) => parts.join(' . '));
  const sets = fc.tuple(
    elementsArb({ name: 'vipwire-cluster-ips', key: ['address'], comment: 'ClusterIPs' }, address),
    elementsArb(
      { name: 'vipwire-live', key: ['address', ...endKey] },
      fc.tuple(address, vip).map((parts) => parts.join(' . ')),
    ),
    elementsArb({ name: 'vipwire-services', key: endKey, data: 'verdict' }, vip, verdictArb),
    elementsArb(
      { name: 'vipwire-node-ports', key: ['protocol', 'port'], data: 'verdict' },
      fc.tuple(protocolArb, portArb).map((parts) => parts.join(' . ')),
      verdictArb,
    ),
    elementsArb({ name: 'vipwire-endpoints', key: [...endKey, 'index'], data: ['address', 'port'] }, indexed, end),
    elementsArb({ name: 'vipwire-by-priority', key: ['priority'], data: ['address', 'port'] }, priorityArb, end),
    elementsArb(
      { name: 'vipwire-slots', key: ['index'], data: ['priority'], comment: 'slots' },
      fc.nat(5000).map(String),
      priorityArb,
    ),
    elementsArb(memory, address, priorityArb).map(({ set, elements }) => ({
      set,
      elements: elements.map((element) => ({ ...element, timeout: { seconds: 3600, remainingMs: 1_800_000 } })),
    })),
  );
  const chains = fc.tuple(...chainNames.map(() => fc.array(ruleArb(family), { maxLength: 6 })));
  const base = (name: string, hook: NonNullable<ChainObject['base']>, ...rules: readonly Rule[]): ChainObject => ({
    name,
    base: hook,
    rules,
  });
  const affinity = fc.array(priorityRuleArb(), { minLength: 1, maxLength: 3 });
  return fc.record({ sets, chains, affinity }).map(({ sets: some, chains: rules, affinity: byPriority }) => ({
    comment: 'rules for Services',
    sets: some,
    chains: [
      base('filter-input', { type: 'filter', hook: 'input', priority: 0 }, { statements: [{ kind: 'reject' }] }),
      base('nat-prerouting', { type: 'nat', hook: 'prerouting', priority: -101 }),
      base(
        'nat-postrouting',
        { type: 'nat', hook: 'postrouting', priority: 100 },
        {
          statements: [{ kind: 'has-mark', mark: 0x4000 }, { kind: 'flip-mark', mark: 0x4000 }, { kind: 'masquerade' }],
        },
      ),
      { name: 'vipwire-affinity', rules: byPriority },
      // Rules lead to none of these, so no chain leads to itself.
      ...chainNames.map((name, i) => ({
        name,
        rules: (rules[i] ?? []).filter(({ statements }) => !leads(statements)),
      })),
    ],
  }));
}

function leads(statements: readonly Statement[]): boolean {
  return statements.some(({ kind }) => kind === 'jump' || kind === 'goto' || kind === 'vmap');
}

export function sampleTable(family: Family, seed: number): SampleTable {
  const [sample] = fc.sample(tableArb(family), { numRuns: 1, seed });
  if (sample === undefined) throw new Error('no sample');
  return sample;
}

/** A sample as changes, in an order that the kernel takes. */
export function writesOfTable({ sets, chains }: SampleTable): readonly TableWrite[] {
  return [
    { op: 'add-table' },
    ...chains.map((chain): TableWrite => ({ op: 'add-chain', chain })),
    ...sets.map(({ set }): TableWrite => ({ op: 'add-set', set })),
    ...chains.map(({ name, rules }): TableWrite => ({ op: 'set-rules', chain: name, rules })),
    ...sets.map(({ set, elements }): TableWrite => ({ op: 'add-elements', set, elements })),
  ];
}
