import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type NodePlans, type NodeRequest, planNode } from '../../src/inspect/node-plan';
import { serviceKey } from '../../src/model/cluster';
import { UserError } from '../../src/model/user-error';
import { createLogger } from '../../src/telemetry/logger';
import { nodes, service, slice } from '../conformance/objects';
import type { ClusterObject } from '../conformance/scenario';
import { parseLogLine } from '../support/log-lines';
import { makeConfiguration } from '../support/settings';

const folder = mkdtempSync(join(tmpdir(), 'vipwire-node-plan-'));
afterAll(() => rmSync(folder, { recursive: true }));

const [first, second] = nodes;
const web = [service(), slice(['a', 'd'])];

async function planOf(
  objects: readonly (ClusterObject | undefined)[],
  request: Partial<NodeRequest> = {},
): Promise<NodePlans & { readonly warnings: readonly string[] }> {
  const file = join(folder, 'cluster.json');
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
  const warnings: string[] = [];
  const log = createLogger({ verbosity: 0, format: 'json' }, (line) => warnings.push(parseLogLine(line).msg));
  const asked: NodeRequest = { files: [file], node: '', families: ['IPv4'], ...request };
  return {
    ...(await planNode(asked, makeConfiguration({ clusterCIDRs: ['10.244.0.0/16', 'fd44::/16'] }), log)),
    warnings,
  };
}

test('the only Node is meant where none is named, and its addresses are known', async () => {
  const { plans, nodeName, hostAddresses, warnings } = await planOf([first, ...web]);
  expect(nodeName).toBe('node');
  expect(hostAddresses).toEqual(['192.168.88.10', 'fd88::10']);
  expect(plans.map(({ family, settings }) => [family, settings.nodeName, settings.zone])).toEqual([
    ['IPv4', 'node', 'z1'],
  ]);
  expect([...(plans[0]?.services.keys() ?? [])]).toEqual(['default/web']);
  expect(warnings).toEqual([]);
});

test.each<[what: string, objects: readonly (ClusterObject | undefined)[], warning: RegExp]>([
  ['no Node', [], /^no Node was given: the rules are those of a node that has no pods/],
  ['several Nodes', [first, second], /^2 Nodes were given: /],
])('%s, and none is named', async (_, objects, warning) => {
  const { nodeName, plans, warnings } = await planOf([...objects, ...web]);
  expect(nodeName).toBe('');
  expect(plans[0]?.services.get(serviceKey('default', 'web'))?.ports[0]?.localEndpoints).toEqual([]);
  expect(warnings).toContainEqual(expect.stringMatching(warning));
});

test.each(['node2', 'NODE2', ' node2 '])('a Node by its name: %j', async (node) => {
  const { nodeName, plans } = await planOf([first, second, ...web], { node });
  expect(nodeName).toBe('node2');
  expect(plans[0]?.settings.zone).toBe('z2');
});

test('a name that no Node has', async () => {
  const { nodeName, warnings } = await planOf([first], { node: 'other' });
  expect(nodeName).toBe('other');
  expect(warnings).toContain('there is no Node of that name: its zone, addresses and podCIDRs are unknown');
});

test('the name is found in the cluster, unless one was given', async () => {
  const nodeOf = (): string => 'node2';
  expect((await planOf(nodes, { nodeOf })).nodeName).toBe('node2');
  expect((await planOf(nodes, { nodeOf, node: 'node' })).nodeName).toBe('node');
});

test('the addresses of the machine count before those of the Node, and both families have a Plan', async () => {
  const { plans, hostAddresses } = await planOf([first], { hostAddresses: ['192.0.2.7'], families: ['IPv6', 'IPv4'] });
  expect(hostAddresses).toEqual(['192.0.2.7']);
  expect(plans.map(({ family }) => family)).toEqual(['IPv6', 'IPv4']);
});

test('a name with two lines is refused', async () => {
  await expect(planOf([first], { node: 'a\nb' })).rejects.toThrow(UserError);
});
