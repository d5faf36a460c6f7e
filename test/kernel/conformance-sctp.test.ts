import { service, slice } from '../conformance/objects';
import { ProxiedCluster } from '../conformance/proxied-cluster';
import { hostWays } from '../support/host-ways';
import { vipwire } from '../support/lab/proxied-node';
import { askSctp, serveSctp } from '../support/lab/sctp';
import { addresses } from '../support/lab/topology';
import { describeAsRoot } from '../support/network-namespace';

const sctp = { protocol: 'SCTP' } as const;
const web = service({ type: 'NodePort', ports: [{ port: 80, targetPort: 8080, nodePort: 30080, ...sctp }] });

describeAsRoot('SCTP', () => {
  test.each(hostWays)(
    'associations reach pods by ClusterIP and NodePort, hairpins too, and are refused without pods (%s)',
    async (_, way) => {
      const cluster = new ProxiedCluster({ ...way, command: vipwire });
      const { lab } = cluster;
      try {
        await cluster.start([web, slice(['a'], { ports: [{ port: 8080, ...sctp }] })]);
        await serveSctp(lab, 'a', 8080);
        const reached = { outcome: 'ok', pod: 'a', port: 8080 };
        expect(await askSctp(lab, 'c', '10.96.0.10', 80)).toMatchObject({ ...reached, source: addresses.c.IPv4 });
        expect(await askSctp(lab, 'a', '10.96.0.10', 80)).toMatchObject({ ...reached, source: '10.244.1.1' });
        expect(await askSctp(lab, 'ext', addresses.node.IPv4, 30080)).toMatchObject({
          ...reached,
          source: '10.244.1.1',
        });
        const unused = way.mode === 'nftables' ? 'refused' : 'timeout';
        expect(await askSctp(lab, 'c', '10.96.0.10', 81)).toEqual({ outcome: unused });
        await cluster.apply([web]);
        expect(await askSctp(lab, 'c', '10.96.0.10', 80)).toEqual({ outcome: 'refused' });
        expect(await askSctp(lab, 'ext', addresses.node.IPv4, 30080)).toEqual({ outcome: 'refused' });
      } finally {
        await cluster.stop();
      }
    },
    60_000,
  );
});
