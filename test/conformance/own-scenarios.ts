import type { Scenario } from './scenario';
import { endpointScenarios } from './scenarios/endpoints';
import { loadBalancerScenarios } from './scenarios/load-balancers';
import { nodePortScenarios } from './scenarios/node-ports';
import { scaleScenarios } from './scenarios/scale';
import { sourceScenarios } from './scenarios/sources';

/** What the recorded scenarios leave out, with expectations from kube-proxy's rules; written for iptables mode. */
export const ownScenarios: readonly Scenario[] = [
  ...endpointScenarios,
  ...sourceScenarios,
  ...nodePortScenarios,
  ...loadBalancerScenarios,
  ...scaleScenarios,
];
