import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../../support/network-namespace';

const guest = join(__dirname, 'sets.guest.ts');
const nothing = { added: 0, deleted: 0 };
const round = { second: nothing, remarked: { added: 1, deleted: 0 }, last: nothing, isRead: true };
const roundTrips = {
  IPv4: { first: { read: 0, added: 11, deleted: 0 }, ...round },
  IPv6: { first: { read: 0, added: 10, deleted: 0 }, ...round },
};

describeAsRoot('sets, by ipset and the kernel', () => {
  let told: Record<string, unknown>;
  beforeAll(async () => {
    told = (await runInNetworkNamespace(guest)) as typeof told;
  }, 240_000);

  test('elements of every form are read as they were written, and need no other write', () => {
    expect(told['ours']).toMatchObject(roundTrips);
  });

  test('and so where ipset reads them, without the addon', async () => {
    expect(await runInNetworkNamespace(guest, 'without-addon')).toMatchObject({ ours: roundTrips });
  }, 240_000);

  test("kube-proxy's own commands take our sets for its own, and we take its for ours", () => {
    expect(told).toMatchObject({ kubeProxyOverOurs: [], kubeProxyAlone: [], oursOverKubeProxy: nothing });
  });

  test('more elements than a set may have are in a set of ours, and fewer again in its', () => {
    expect(told['outgrown']).toMatchObject({
      grown: { added: 1_504, deleted: 3 },
      nameOfGrown: 'KUBE-CLUSTER-IP-BIG',
      again: { read: 1_511, ...nothing },
      shrunk: { added: 903 },
      changed: { read: 911, added: 500, deleted: 500 },
      last: { read: 911, ...nothing },
    });
  });

  test('cleanup leaves a set that a rule still matches, and says so', () => {
    expect(told['cleaned']).toMatchObject({ inUse: ['KUBE-IPVS-IPS'] });
  });

  test('a set of our name with other parameters is told', () => {
    expect(told['foreign']).toContain(
      'ipset KUBE-CLUSTER-IP is "hash:ip family inet maxelem 65536", not "hash:ip,port',
    );
  });
});
