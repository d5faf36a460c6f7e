import { type AgentTelemetryOptions } from '../../src/daemon/agent-telemetry';
import type { NodePortAddresses } from '../../src/planner/plan';
import type { ServiceHealth, ServiceHealthServers } from '../../src/servers/service-health-servers';
import { key, Told, web } from './told';

describe('health check ports', () => {
  const opened: { addresses: NodePortAddresses; synced: [string, ServiceHealth][][]; stopped: boolean }[] = [];
  const open: AgentTelemetryOptions['openServiceHealth'] = (_, addresses) => {
    const servers = { addresses, synced: [] as [string, ServiceHealth][][], stopped: false };
    opened.push(servers);
    const like: Pick<ServiceHealthServers, 'sync' | 'stop'> = {
      sync: (services) => {
        servers.synced.push([...services]);
        return Promise.resolve();
      },
      stop: () => {
        servers.stopped = true;
        return Promise.resolve();
      },
    };
    return like as ServiceHealthServers;
  };
  beforeEach(() => (opened.length = 0));
  const answer = { namespace: 'default', name: 'web', port: 32000, localEndpoints: 2 };

  test('answer for the Services that have one, after each round', () => {
    const told = new Told({ openServiceHealth: open });
    const checked = web({ healthCheckNodePort: 32000, localReadyEndpoints: 2 });
    told.synced({ before: new Map([[key, undefined]]), after: new Map([[key, checked]]) });
    told.synced({});
    told.synced({ before: new Map([[key, checked]]), after: new Map([[key, undefined]]) });
    expect(opened.map(({ synced }) => synced)).toEqual([[[[key, answer]], [[key, answer]], []]]);
  });

  test('listen on the node-port addresses, on others when those change, and no more after stop', async () => {
    const told = new Told({ openServiceHealth: open });
    const some: NodePortAddresses = { kind: 'some', addresses: ['192.168.88.10'] };
    told.synced({});
    told.synced({}, some);
    told.synced({}, { ...some });
    expect(opened.map(({ addresses, stopped }) => [addresses.kind, stopped])).toEqual([
      ['all', true],
      ['some', false],
    ]);
    await told.telemetry.stop();
    expect(opened.map(({ stopped }) => stopped)).toEqual([true, true]);
  });
});
