/** kube-proxy's IPVS state is on the node when vipwire starts. */
import { BusyCluster, busyObjects, throughNodePort, throughVIP } from '../../support/busy-cluster';
import { describeWithIpvs, guestRate } from '../../support/ipvs-kernel';
import { IpvsNode } from '../../support/ipvs-node';
import { Lab } from '../../support/lab/lab';

const clients = [throughVIP, throughNodePort].map((client) => ({ ...client, perSecond: guestRate }));

describeWithIpvs('taking over from kube-proxy in IPVS mode', () => {
  const lab = new Lab();
  const node = new IpvsNode(lab);
  beforeAll(() => lab.start(), 240_000);
  afterAll(() => lab.stop());

  test('what was recorded of it serves in this lab', async () => {
    const cluster = new BusyCluster({ mode: 'ipvs', clients, slow: 2, lab });
    try {
      await cluster.setUp(busyObjects.slice(0, 2));
      await node.loadRecording('nodeport.1');
      expect(await cluster.whileBusy(() => Promise.resolve())).toEqual([]);
    } finally {
      await cluster.stop();
    }
  }, 240_000);
});
