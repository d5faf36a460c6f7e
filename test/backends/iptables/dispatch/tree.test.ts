import fc from 'fast-check';
import type { DispatchEntry } from '../../../../src/backends/iptables/dispatch/keys';
import { type DispatchOptions, DispatchTree } from '../../../../src/backends/iptables/dispatch/tree';
import { maxChainName } from '../../../../src/backends/iptables/names';
import { cidrContains, parseCidr } from '../../../../src/model/address';

const options: DispatchOptions = { family: 'IPv4', by: 'destination', root: 'KUBE-SERVICES', prefix: 'KUBE-SVC-' };

function entry(
  address: string,
  port = 80,
  owner = 'default/web',
  protocol: DispatchEntry['protocol'] = 'TCP',
): DispatchEntry {
  return { address, protocol, port, owner, comment: owner, action: `-j ${owner}` };
}

function fresh(entries: readonly DispatchEntry[], by = options): Map<string, readonly string[]> {
  const chains = new Map<string, readonly string[]>();
  apply(chains, new DispatchTree(by).update([], entries));
  return chains;
}

function apply(
  chains: Map<string, readonly string[]>,
  changed: ReadonlyMap<string, readonly string[] | undefined>,
): void {
  for (const [name, rules] of changed) {
    if (rules === undefined) chains.delete(name);
    else chains.set(name, rules);
  }
}

/** Follows a packet. Returns the action that it reaches and the number of rules that it was compared with. */
function walk(
  chains: ReadonlyMap<string, readonly string[]>,
  packet: { address: string; protocol: string; port: number },
  chain = 'KUBE-SERVICES',
): { action: string | undefined; rules: number } {
  let rules = 0;
  for (const rule of chains.get(chain) ?? []) {
    rules++;
    const destination = /-d (\S+)/.exec(rule)?.[1];
    const cidr = destination === undefined ? undefined : parseCidr(destination);
    if (cidr !== undefined && !cidrContains(cidr, packet.address)) continue;
    const protocol = /-p (\S+)/.exec(rule)?.[1];
    if (protocol !== undefined && protocol !== packet.protocol) continue;
    const [low, high] = (/--dport (\S+)/.exec(rule)?.[1] ?? '0:65535').split(':').map(Number) as [number, number?];
    if (packet.port < low || packet.port > (high ?? low)) continue;
    const target = / -j (\S+)|^-j (\S+)/.exec(rule);
    const action = target?.[1] ?? target?.[2] ?? '';
    if (!chains.has(action)) return { action, rules };
    const inner = walk(chains, packet, action);
    rules += inner.rules;
    if (inner.action !== undefined) return { action: inner.action, rules };
  }
  return { action: undefined, rules };
}

test('few entries are rules of the root, in order', () => {
  const chains = fresh([
    entry('10.96.0.10', 443),
    entry('10.96.0.10', 80),
    entry('10.96.0.9', 53, 'kube-system/dns', 'UDP'),
  ]);
  expect([...chains]).toEqual([
    [
      'KUBE-SERVICES',
      [
        '-d 10.96.0.9/32 -p udp -m comment --comment "kube-system/dns" -m udp --dport 53 -j kube-system/dns',
        '-d 10.96.0.10/32 -p tcp -m comment --comment "default/web" -m tcp --dport 80 -j default/web',
        '-d 10.96.0.10/32 -p tcp -m comment --comment "default/web" -m tcp --dport 443 -j default/web',
      ],
    ],
  ]);
});

test('many become a tree by prefix', () => {
  const entries = Array.from({ length: 40 }, (_, i) => entry(`10.96.0.${i}`, 80, `ns/s${i}`));
  const chains = fresh(entries);
  expect([...chains.keys()]).toEqual(
    ['KUBE-SERVICES', 'KUBE-SVC-10.96.0.0/28', 'KUBE-SVC-10.96.0.16/28', 'KUBE-SVC-10.96.0.32/28'].sort(),
  );
  expect(chains.get('KUBE-SERVICES')).toEqual([
    '-d 10.96.0.0/28 -j KUBE-SVC-10.96.0.0/28',
    '-d 10.96.0.16/28 -j KUBE-SVC-10.96.0.16/28',
    '-d 10.96.0.32/28 -j KUBE-SVC-10.96.0.32/28',
  ]);
});

test('many ports of one address branch by protocol and port', () => {
  const entries = Array.from({ length: 300 }, (_, i) =>
    entry('203.0.113.255', 8000 + i, `ns/s${i}`, i % 2 ? 'UDP' : 'TCP'),
  );
  const chains = fresh(entries);
  for (const [i, { address, port }] of entries.entries())
    expect(walk(chains, { address, port, protocol: i % 2 ? 'udp' : 'tcp' })).toMatchObject({ action: `ns/s${i}` });
  expect(walk(chains, { address: '203.0.113.255', port: 8000, protocol: 'udp' }).action).toBeUndefined();
});

test('the longest names fit the kernel', () => {
  for (const family of ['IPv4', 'IPv6'] as const) {
    const base = family === 'IPv4' ? '203.113.113.' : '2001:db8:aaaa:bbbb:cccc:dddd:eeee:';
    const entries = [100, 110, 220].flatMap((last) =>
      Array.from({ length: 200 }, (_, i) => entry(`${base}${last}`, 20000 + i, `s${i}`)),
    );
    const tree = new DispatchTree({ ...options, family });
    const names = [...tree.update([], entries).keys()];
    expect(names.length).toBeGreaterThan(30);
    for (const name of names) expect(name.length).toBeLessThanOrEqual(maxChainName);
  }
});

test('of several claims the first owner by name serves, whoever came first, and the next one takes over', () => {
  const tree = new DispatchTree(options);
  tree.update([], [entry('10.0.0.1', 80, 'b')]);
  expect(
    tree
      .update([], [entry('10.0.0.1', 80, 'a')])
      .get('KUBE-SERVICES')
      ?.join(),
  ).toContain('-j a');
  expect(
    tree
      .update([entry('10.0.0.1', 80, 'a')], [])
      .get('KUBE-SERVICES')
      ?.join(),
  ).toContain('-j b');
});

test('10,000 services: no packet is compared with more than 40 rules', () => {
  const entries = Array.from({ length: 10_000 }, (_, i) => entry(`10.96.${i >> 8}.${i & 255}`, 80, `ns/s${i}`));
  const chains = fresh(entries);
  let most = 0;
  for (const { address, owner } of entries.filter((_, i) => i % 7 === 0)) {
    const { action, rules } = walk(chains, { address, protocol: 'tcp', port: 80 });
    expect(action).toBe(owner);
    most = Math.max(most, rules);
  }
  expect(most).toBeLessThanOrEqual(40);
});

const anyEntry = fc
  .record({
    address: fc.oneof(
      fc.nat(60).map((n) => `10.96.0.${n}`),
      fc.tuple(fc.nat(3), fc.nat(255)).map(([a, b]) => `10.96.${a}.${b}`),
      fc.constantFrom('203.0.113.5', '198.51.100.1', '0.0.0.1', '255.255.255.255'),
    ),
    port: fc.oneof(
      fc.nat(40).map((n) => 8000 + n),
      fc.integer({ min: 1, max: 65535 }),
    ),
    protocol: fc.constantFrom('TCP', 'UDP', 'SCTP' as const),
    owner: fc.constantFrom('a', 'b', 'c'),
  })
  .map(({ address, port, protocol, owner }) => entry(address, port, owner, protocol));

test.each(['destination', 'port', 'hairpin'] as const)(
  'any order and grouping of changes ends in the same chains (by %s)',
  (kind) => {
    const by = { ...options, by: kind };
    const byAddress = kind !== 'port';
    const identity = ({ address, protocol, port, owner }: DispatchEntry): string =>
      [...(byAddress ? [address] : []), ...(kind === 'hairpin' ? [] : [protocol, port]), owner].join(' ');
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.tuple(fc.boolean(), anyEntry), { maxLength: 60 }), { maxLength: 8 }),
        (batches) => {
          const tree = new DispatchTree(by);
          const chains = new Map<string, readonly string[]>();
          apply(chains, tree.update([], []));
          const present = new Map<string, DispatchEntry>();
          for (const batch of batches) {
            const removed = new Map<string, DispatchEntry>();
            const added = new Map<string, DispatchEntry>();
            for (const [remove, e] of batch) {
              const of = byAddress ? e : { ...e, address: '' };
              (remove ? removed : added).set(identity(e), of);
            }
            for (const [key] of removed) present.delete(key);
            for (const [key, e] of added) present.set(key, e);
            apply(chains, tree.update([...removed.values()], [...added.values()]));
            expect(new Map([...chains].sort())).toEqual(new Map([...fresh([...present.values()], by)].sort()));
          }
        },
      ),
      { numRuns: 150 },
    );
  },
);

test('the chains of a root that branches earlier than before stay', () => {
  const tree = new DispatchTree(options);
  const chains = new Map<string, readonly string[]>();
  const near = Array.from({ length: 16 }, (_, n) => entry(`10.96.0.${n}`, 80, 'a', 'TCP'));
  const all = [...near, entry('0.0.0.1', 80, 'a', 'TCP')];
  apply(chains, tree.update([], all));
  const far = entry('203.0.113.5', 80, 'a', 'TCP');
  apply(chains, tree.update([], [far]));
  expect(new Map([...chains].sort())).toEqual(new Map([...fresh([...all, far], options)].sort()));
});
