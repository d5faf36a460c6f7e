/** In IPVS mode too: a Pod in the network of the node sees the client, and explain and compare know it. */
import { join } from 'node:path';
import { BusyCluster } from '../../support/busy-cluster';
import { askAll, hostNetworkObjects, wantedSources } from '../../support/host-network';
import { describeWithIpvs } from '../../support/ipvs-kernel';
import { Lab } from '../../support/lab/lab';

describeWithIpvs('a Pod in the network of this node, ipvs', () => {
  const lab = new Lab();
  const cluster = new BusyCluster({ mode: 'ipvs', slow: 4, lab });

  beforeAll(async () => {
    await lab.start();
    await cluster.setUp(hostNetworkObjects);
    await cluster.startProxy();
  }, 300_000);
  afterAll(async () => {
    await cluster.stop();
    await lab.stop();
  }, 400_000);

  test('from outside, from Pods here and elsewhere, and from the node', async () => {
    const config = `--config=${join(lab.directory, 'config.json')}`;
    expect(await askAll(lab, [config, '--hostname-override=node'])).toEqual(wantedSources);
  }, 600_000);
});
