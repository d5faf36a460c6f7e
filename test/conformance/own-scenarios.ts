import type { Scenario } from './scenario';
import { endpointScenarios } from './scenarios/endpoints';
import { loadBalancerScenarios } from './scenarios/load-balancers';
import { nodePortScenarios } from './scenarios/node-ports';
import { scaleScenarios } from './scenarios/scale';
import { sourceScenarios } from './scenarios/sources';

/**
 * What the recorded scenarios leave out, written for iptables mode. Their `about` names the file of kube-proxy (under
 * pkg/proxy, or cmd/kube-proxy) whose rule it is.
 */
export const ownScenarios: readonly Scenario[] = [
  ...endpointScenarios,
  ...sourceScenarios,
  ...nodePortScenarios,
  ...loadBalancerScenarios,
  ...scaleScenarios,
];
