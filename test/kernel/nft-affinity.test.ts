import { join } from 'node:path';
import { families } from '../../src/model/address';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

/** The pod that each of thirty clients reached, in the order of what was done. */
interface Told {
  readonly first: readonly string[];
  readonly again: readonly string[];
  readonly otherWay: readonly string[];
  /** After the timeout, in which the first fifteen clients went on to connect. */
  readonly later: readonly string[];
  readonly without3: readonly string[];
  /** By a frontend with policy Local. */
  readonly local: readonly string[];
  readonly afterLocal: readonly string[];
  /** With the rules as nft had listed them. */
  readonly readBack: readonly string[];
  readonly isJson: boolean;
  readonly parallel: readonly number[];
  readonly adopted: readonly string[];
}

describeAsRoot('session affinity in the kernel', () => {
  let told: Record<string, Told>;
  beforeAll(async () => {
    told = (await runInNetworkNamespace(join(__dirname, 'nft-affinity.guest.ts'))) as Record<string, Told>;
  }, 180_000);

  describe.each(families.flatMap((family) => ['TCP', 'UDP'].map((protocol) => `${family} ${protocol}`)))(
    '%s',
    (name) => {
      const pods = name.startsWith('IPv4')
        ? ['10.244.1.1', '10.244.1.2', '10.244.1.3']
        : ['fd44::1', 'fd44::2', 'fd44::3'];
      const all = (pod: string | undefined): readonly unknown[] => Array<unknown>(30).fill(pod);
      const of = (): Told => {
        const one = told[name];
        if (one === undefined) throw new Error(`nothing about ${name}`);
        return one;
      };

      test('clients spread, and each stays with its pod, by every frontend', () => {
        const { first, again, otherWay } = of();
        expect([...new Set(first)].sort()).toEqual(pods);
        expect(again).toEqual(first);
        expect(otherWay).toEqual(first);
      });

      test('active clients stay beyond the timeout, idle ones are chosen for anew', () => {
        const { first, later } = of();
        expect(later.slice(0, 15)).toEqual(first.slice(0, 15));
        // All fifteen by chance the same again: 3 ** -15.
        expect(later.slice(15)).not.toEqual(first.slice(15));
      });

      test('a pod that goes moves its own clients alone', () => {
        const { later, without3 } = of();
        for (const [i, pod] of later.entries())
          if (pod === pods[2]) expect(pods.slice(0, 2)).toContain(without3[i]);
          else expect(without3[i]).toBe(pod);
      });

      test('policy Local uses what is remembered only where it is local, and both lists remember together', () => {
        expect(of().local).toEqual(all(pods[0]));
        expect(of().afterLocal).toEqual(all(pods[0]));
      });

      test('nft lists the rules, also as JSON, and takes its own list with the clients', () => {
        expect(of().readBack).toEqual(of().afterLocal);
        expect(of().isJson).toBe(true);
      });

      test('connections that a new client starts at the same time reach the same pod', () => {
        const { parallel } = of();
        expect(parallel.filter((count) => count === 1).length).toBeGreaterThanOrEqual(28);
      });

      test('clients that kube-proxy remembers stay where they are', () => {
        expect(of().adopted).toEqual(all(pods[1]));
      });
    },
  );
});
