import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

const expected = {
  IPv4: ['10.9.0.10:53 10.9.0.1:5353 3', '10.9.0.11:53 10.9.0.2:5353 3', '10.9.0.12:53 10.9.0.12:53 3'],
  IPv6: ['[fd09::10]:53 [fd09::1]:5353 3', '[fd09::11]:53 [fd09::2]:5353 3', '[fd09::12]:53 [fd09::12]:53 3'],
};

describeAsRoot('conntrack, in a network namespace', () => {
  const told: Record<string, Record<string, unknown>> = {};
  const guest = join(__dirname, 'conntrack.guest.ts');
  beforeAll(async () => {
    const byNetlink = (await runInNetworkNamespace(guest)) as Record<string, Record<string, unknown>>;
    const byTool = (await runInNetworkNamespace(guest, 'without-addon')) as typeof byNetlink;
    for (const [family, result] of Object.entries(byNetlink)) told[`netlink ${family}`] = result;
    for (const [family, result] of Object.entries(byTool)) told[`tool ${family}`] = result;
  }, 20_000);

  describe.each(['netlink IPv4', 'netlink IPv6', 'tool IPv4', 'tool IPv6'])('by %s', (way) => {
    const flows = way.endsWith('IPv4') ? expected.IPv4 : expected.IPv6;

    test('exactly the stale flows are deleted', () => {
      expect(told[way]).toMatchObject({ before: flows, deleted: 3, after: flows.slice(1) });
    });

    test('flows to other ports, and flows when nothing is asked for, stay', () => {
      expect(told[way]).toMatchObject({ nothing: 0, otherPort: 0 });
    });

    test('all are deleted where all are stale', () => {
      expect(told[way]).toMatchObject({ rest: 6, end: [] });
    });

    test('netlink judges flows between the same ends once', () => {
      expect(told[way]?.['judged']).toHaveLength(way.startsWith('netlink') ? 3 : 9);
    });
  });
});
