import type { CheckedProbe, Mode, Scenario } from './scenario';
import { endpointScenarios } from './scenarios/endpoints';
import { loadBalancerScenarios } from './scenarios/load-balancers';
import { nodePortScenarios } from './scenarios/node-ports';
import { scaleScenarios } from './scenarios/scale';
import { sourceScenarios } from './scenarios/sources';

const all: readonly Scenario[] = [
  ...endpointScenarios,
  ...sourceScenarios,
  ...nodePortScenarios,
  ...loadBalancerScenarios,
  ...scaleScenarios,
];

/**
 * What the recorded scenarios leave out, with what is right in this mode. Their `about` names the file of kube-proxy (under
 * pkg/proxy, or cmd/kube-proxy) whose rule it is.
 */
export function ownScenarios(mode: Mode): Scenario[] {
  const inMode = ({ probe, expectation, byMode }: CheckedProbe): CheckedProbe => ({
    probe,
    expectation: byMode?.[mode] ?? expectation,
  });
  return all
    .filter(({ modes }) => modes?.includes(mode) !== false)
    .map((scenario) => ({
      ...scenario,
      steps: scenario.steps.map((step) => ({ ...step, probes: step.probes.map(inMode) })),
    }));
}
