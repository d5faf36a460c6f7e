import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

interface FamilyTold {
  readonly isAbsent: boolean;
  readonly differing: readonly unknown[];
  readonly changes: Readonly<Record<string, readonly string[]>>;
}

describeAsRoot('reading a table', () => {
  let told: Readonly<Record<string, unknown>> & Readonly<Record<'IPv4' | 'IPv6', FamilyTold>>;
  beforeAll(async () => {
    told = (await runInNetworkNamespace(join(__dirname, 'nft-read.guest.ts'))) as typeof told;
  });

  test.each(['IPv4', 'IPv6'] as const)('%s: what is read of random tables is what was written', (family) => {
    const { isAbsent, differing } = told[family];
    expect(isAbsent).toBe(true);
    expect(differing).toEqual([]);
  });

  /** What we could not have written is in words that we do not have, so that it is replaced. */
  test.each(['IPv4', 'IPv6'] as const)('%s: each change by others is seen', (family) => {
    const { changes } = told[family];
    expect(Object.keys(changes).length).toBeGreaterThan(15);
    for (const [command, differences] of Object.entries(changes)) {
      const [difference, ...others] = differences;
      expect([command, difference, others]).toEqual([command, expect.any(String), []]);
      if (command.startsWith('add rule')) expect(difference).toMatch(/\(another rule: [a-z ]+\)$/);
      if (command.startsWith('add set')) expect(difference).toMatch(/^sets extra: \(another set, flags \d+\)$/);
    }
    const address = family === 'IPv4' ? '192.0.2.1' : '2001:db8::1';
    expect(Object.values(changes).flat()).toEqual(
      expect.arrayContaining([
        'chains extra: (another hook)',
        `vipwire-services ${address} . 1 . 80: drop`,
        `vipwire-services ${address} . tcp . 80: jump vipwire-refuse`,
        'vipwire-cluster-ips *: ',
      ]),
    );
  });

  test('elements that no Service has are removed by what was read of them', () => {
    expect(told['foreign']).toEqual({ foreign: ['*', '192.0.2.1 . 1 . 80'], isRestored: true });
  });

  test('it is read in full while somebody writes fifty times a second', () => {
    expect(told['busy']).toMatchObject({ counts: Array(5).fill(20_000), isBusy: true });
  });
});
