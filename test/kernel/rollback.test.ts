/** kube-proxy takes back a node from vipwire. */
import { BusyCluster, busyObjects, idleObjects, idleService } from '../support/busy-cluster';
import { service } from '../conformance/objects';
import { busyServices, cleanUp, fullSync, partialSync } from '../support/kube-proxy-node';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';

/** Enough for every dispatch tree to have chains below its root, and an endpoint list too. */
const objects = [
  ...busyObjects,
  ...idleObjects(40, 2),
  ...idleService(40, 200),
  ...Array.from({ length: 40 }, (_, n) =>
    service({
      name: `refused-${n}`,
      clusterIPs: [`10.96.2.${n}`],
      type: 'NodePort',
      ports: [{ port: 80, nodePort: 31000 + n }],
    }),
  ),
];

describeAsRoot('the way back to kube-proxy', () => {
  test.each(['nft', 'legacy'] as const)(
    '%s: its first sync and its removal of a Service go through, and no connection fails',
    async (variant) => {
      const cluster = new BusyCluster({ variant });
      try {
        await cluster.setUp(objects);
        await cluster.startProxy();
        const ours = await cluster.rules();
        expect(ours.filter((line) => /:KUBE-(SVC|EXT)-(np-|\d)/.test(line)).length).toBeGreaterThan(5);
        await cluster.proxy.stop();
        const passing = { name: 'default/passing', clusterIP: '10.96.0.99', port: 80, endpoints: ['10.244.2.2:8080'] };
        const wrong = await cluster.whileBusy(async () => {
          await fullSync(cluster, [...busyServices, passing]);
          await partialSync(cluster, busyServices, []);
        });
        expect(wrong).toEqual([]);
        const after = await cluster.rules();
        await cluster.forgetRules();
        await fullSync(cluster, busyServices);
        expect(natWithoutCanary(after)).toEqual(natWithoutCanary(await cluster.rules()));
        // Then vipwire again, with what was left of the first time.
        await cluster.forgetRules();
        await cluster.restore(toRestore(after));
        expect(await cluster.whileBusy(() => cluster.startProxy())).toEqual([]);
        expect(await cluster.rules()).toEqual(ours);
      } finally {
        await cluster.stop();
      }
    },
    120_000,
  );

  test.each(['nft', 'legacy'] as const)(
    '%s: its own clean-up goes through, and leaves chains that nothing leads to; ours leaves nothing',
    async (variant) => {
      const cluster = new BusyCluster({ variant });
      try {
        await cluster.setUp(objects);
        await cluster.startProxy();
        await cluster.proxy.stop();
        await cleanUp(cluster);
        const left = await cluster.rules();
        expect(left.filter((line) => line.startsWith('nat '))).toEqual([]);
        const known = left.filter((line) => !/KUBE-FIREWALL/.test(line));
        expect(known.filter((line) => !/^filter (:|-A )KUBE-(SVC|EXT|FW)-/.test(line))).toEqual([]);
        await cluster.lab.run('node', vipwire[0] ?? '', [...vipwire.slice(1), 'cleanup']);
        expect(await cluster.rules()).toEqual([]);
      } finally {
        await cluster.stop();
      }
    },
    60_000,
  );
});

/** kube-proxy only checks that the chain of its canary exists. */
function natWithoutCanary(rules: readonly string[]): string[] {
  return rules.filter((line) => line.startsWith('nat ') && !line.includes('KUBE-PROXY-CANARY'));
}

/** Input that makes a table hold these rules. */
function toRestore(rules: readonly string[]): string {
  return ['mangle', 'filter', 'nat']
    .map((table) => {
      const lines = rules.filter((line) => line.startsWith(`${table} `)).map((line) => line.slice(table.length + 1));
      const chains = lines.filter((line) => line.startsWith(':')).map((line) => `${line} - [0:0]`);
      return [`*${table}`, ...chains, ...lines.filter((line) => line.startsWith('-A')), 'COMMIT', ''].join('\n');
    })
    .join('');
}
