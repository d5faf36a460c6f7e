import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

describeAsRoot('NodePorts on ::1', () => {
  let told: Record<string, unknown>;
  beforeAll(async () => {
    told = (await runInNetworkNamespace(join(__dirname, 'loopback-node-ports.guest.ts'))) as typeof told;
  }, 120_000);

  test('are served where they are wanted, only on ::1, and follow the Plan', () => {
    expect(told['served']).toEqual({
      notWanted: 'ECONNREFUSED',
      both: ['fd44::1 ping', 'fd44::2 ping'],
      onlyLoopback: 'ECONNREFUSED',
      changed: ['ECONNREFUSED', 'fd44::3 ping'],
      unnamed: 'fd44::3 ping',
      anew: 'ECONNREFUSED',
    });
  });

  test('move from one Service to another, and leave established connections alone', () => {
    expect(told['moved']).toEqual({
      contested: 'fd44::1 ping',
      after: 'fd44::2 ping',
      closed: 'ECONNREFUSED',
      established: 'fd44::1 still here',
    });
  });

  test('reach every endpoint, and go past one that refuses', () => {
    expect(told['balanced']).toEqual(['fd44::1 ping', 'fd44::2 ping', 'fd44::3 ping']);
  });

  test('keep the client with its endpoint under session affinity', () => {
    expect(told['affinity']).toEqual({ keptFirst: true, movedOn: true, keptSecond: true, forgotten: 3 });
  });

  test('that somebody else has give one warning and are opened when they are free', () => {
    expect(told['taken']).toEqual({
      free: 'fd44::1 ping',
      said: [
        'warn the NodePort [::1]:30006 cannot be served: listen EADDRINUSE: address already in use ::1:30006',
        'debug the NodePort [::1]:30006 cannot be served: listen EADDRINUSE: address already in use ::1:30006',
      ],
      after: 'fd44::1 ping',
      service: 'default/taken',
    });
  });

  test('wait for the address, with one warning for all', () => {
    expect(told['withoutLoopback']).toEqual({
      said: [
        'warn the NodePort [::1]:30008 cannot be served: listen EADDRNOTAVAIL: address not available ::1:30008',
        'debug the NodePort [::1]:30009 cannot be served: listen EADDRNOTAVAIL: address not available ::1:30009',
      ],
      after: ['fd44::1 ping', 'fd44::1 ping'],
    });
  });

  test('are counted', () => {
    expect(told['metrics']).toEqual([
      expect.stringMatching(
        /^kubeproxy_nftables_localhost_nodeport_listener_creation_failures_total{ip_family="IPv6"} \d$/,
      ),
      'kubeproxy_nftables_localhost_nodeport_listeners{ip_family="IPv6"} 2',
      'vipwire_localhost_nodeport_connections_total{ip_family="IPv6",result="relayed"} 134',
    ]);
  });

  test('are closed with their connections when the process stops', () => {
    expect(told['stopped']).toEqual(['Error: read ECONNRESET', 'ECONNREFUSED']);
  });
});
