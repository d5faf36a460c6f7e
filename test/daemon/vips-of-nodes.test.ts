import type { Source } from '../../src/sources/source';
import { makeEndpoint, makeService, makeSlice } from '../support/cluster-objects';
import { FakeNode, stopNodes } from './fake-node';

afterEach(stopNodes);

describe('external IPs, in a mode that binds them', () => {
  const withExternalIP = makeService({ externalIPs: ['192.168.88.11'] });

  async function started(list: NonNullable<Source['listNodeAddresses']>): Promise<[FakeNode, string[]]> {
    const node = new FakeNode({}, list);
    const judged: string[] = [];
    const machine = node.machine();
    for (const backend of machine.backends.values())
      Object.assign(backend, {
        judgeAddresses: (judge: (address: string) => string) => judged.push(judge('192.168.88.11')),
      });
    await node.agent.start(() => Promise.resolve(machine));
    node.set(withExternalIP, makeSlice([makeEndpoint('10.0.1.2')]));
    node.synced();
    return [node, judged];
  }

  test('the first round waits for the list of Nodes, and the Service whose IP is a Node’s is warned of', async () => {
    const [node, judged] = await started(() => Promise.resolve(new Map([['192.168.88.11', 'node2']])));
    await node.clock.advance(1000);
    expect(node.writes).toBeGreaterThan(0);
    expect(judged.at(-1)).toBe('of a Node');
    expect(node.said('192.168.88.11 is an address of Node node2')).toHaveLength(1);
  });

  test('a list that never comes holds the first round up for five seconds', async () => {
    const [node] = await started(() => new Promise(() => undefined));
    await node.clock.advance(4000);
    expect(node.writes).toBe(0);
    expect(node.agent.waitingFor()).toEqual(['it is not known yet which addresses Nodes have']);
    await node.clock.advance(2000);
    expect(node.writes).toBeGreaterThan(0);
  });
});
