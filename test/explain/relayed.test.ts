import { parseKernel } from '../../src/compare/parse-kernel';
import { explainConnection, type Explanation } from '../../src/explain/explain-connection';
import { parseClient, parseTarget } from '../../src/explain/question';
import { ClusterStore } from '../../src/model/cluster-store';
import { planCluster } from '../../src/planner/plan-cluster';
import { parseManifests } from '../../src/sources/manifests/parse-manifests';
import { writeNftables } from '../compare/written';
import { nodes, service, slice } from '../conformance/objects';
import { makeSettings } from '../support/settings';

const settings = makeSettings({ localhostNodePortsIPv6: true, hostAddresses: ['fd88::10'] });
const nodePort = service({
  type: 'NodePort',
  clusterIPs: ['fd96::10'],
  ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
  spec: { externalTrafficPolicy: 'Local' },
});

/** The only endpoint is on the other node. */
function ask(to: string, ready: boolean): Explanation {
  const cluster = new ClusterStore(0);
  const items = [...nodes, nodePort, slice([['d', { ready }]], { family: 'IPv6' })];
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  cluster.apply(parseManifests(list, 'cluster').objects.flatMap(({ sets }) => sets));
  const plan = planCluster(cluster, 'IPv6', settings);
  const parsed = parseKernel(writeNftables(plan), plan);
  if (parsed === undefined) throw new Error('no rules');
  const scope = { cluster, plan, kernel: parsed.kernel, nodeAddresses: parsed.nodeAddresses };
  return explainConnection(parseClient('node', 'IPv6', cluster, settings), parseTarget(to, cluster), scope);
}

test('a NodePort on ::1 goes to the endpoints that the node reaches, though no rule sends it there', () => {
  const explanation = ask('[::1]:30080', true);
  expect(explanation).toMatchObject({
    outcome: 'forwarded',
    frontend: 'NodePort 30080/tcp of default/web',
    receivers: [{ pod: 'default/d', share: 1 }],
    disagreement: '',
  });
  expect(explanation.reasons.at(-1)).toMatch(/^no rule can send it from ::1 to an endpoint/);
  expect(explanation.source).toMatch(/^this node's address/);
});

test('without an endpoint nobody listens there, and the rules leave it alone', () => {
  const explanation = ask('[::1]:30080', false);
  expect(explanation).toMatchObject({ outcome: 'untouched', receivers: [], source: '', disagreement: '' });
  expect(explanation.reasons).toEqual(['default/web has no endpoint that is ready: 1 not ready']);
});

test("the node's other addresses have rules", () => {
  const explanation = ask('[fd88::10]:30080', true);
  expect(explanation).toMatchObject({ outcome: 'forwarded', disagreement: '' });
  expect(explanation.reasons.join()).not.toContain('::1');
});
