import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

const expected = {
  IPv4: ['10.9.0.10:53 10.9.0.1:5353 3', '10.9.0.11:53 10.9.0.2:5353 3', '10.9.0.12:53 10.9.0.12:53 3'],
  IPv6: ['[fd09::10]:53 [fd09::1]:5353 3', '[fd09::11]:53 [fd09::2]:5353 3', '[fd09::12]:53 [fd09::12]:53 3'],
};

describeAsRoot('conntrack, in a network namespace', () => {
  let told: Record<string, Record<string, unknown>>;
  beforeAll(async () => {
    told = (await runInNetworkNamespace(join(__dirname, 'conntrack.guest.ts'))) as typeof told;
  }, 20_000);

  describe.each(['netlink IPv4', 'netlink IPv6', 'tool IPv4', 'tool IPv6'])('by %s', (way) => {
    const flows = way.endsWith('IPv4') ? expected.IPv4 : expected.IPv6;

    test('exactly the stale flows go', () => {
      expect(told[way]).toMatchObject({ before: flows, deleted: 3, after: flows.slice(1) });
    });

    test('flows to other ports, and flows when nothing is asked for, stay', () => {
      expect(told[way]).toMatchObject({ nothing: 0, otherPort: 0 });
    });

    test('all go where all are stale', () => {
      expect(told[way]).toMatchObject({ rest: 6, end: [] });
    });
  });

  test('by netlink, flows between the same ends are judged once', () => {
    expect(told['netlink IPv4']?.['judged']).toEqual([
      expect.objectContaining({ dstPort: 53 }),
      expect.objectContaining({ dstPort: 53 }),
      expect.objectContaining({ dstPort: 53 }),
    ]);
  });
});
