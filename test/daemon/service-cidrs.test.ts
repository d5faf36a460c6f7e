/** Which modes are told the CIDRs of Services, and that a change of them reaches the Plan's settings. */
import { AgentNode } from '../../src/daemon/agent-node';
import { modes } from '../../src/modes/modes';
import { makeNode } from '../support/cluster-objects';
import { makeConfiguration } from '../support/settings';

test.each(Object.values(modes))('$name', ({ name, readsServiceCIDRs }) => {
  let serviceCIDRs: readonly string[] = [];
  const node = new AgentNode({
    configuration: { ...makeConfiguration(), mode: name },
    nodeName: 'node',
    findNode: () => makeNode(),
    hostAddresses: () => ['192.168.88.10'],
    serviceCIDRs: () => serviceCIDRs,
    onWarning: () => undefined,
  });
  expect(node.settings.serviceCIDRs).toEqual(readsServiceCIDRs ? [] : undefined);
  serviceCIDRs = ['10.96.0.0/16'];
  expect(node.resettle()).toBe(readsServiceCIDRs);
  expect(node.settings.serviceCIDRs).toEqual(readsServiceCIDRs ? ['10.96.0.0/16'] : undefined);
  expect(node.resettle()).toBe(false);
});
