import PQueue from 'p-queue';
import { ownScenarios } from '../conformance/own-scenarios';
import { recordedScenarios } from '../conformance/recorded-scenarios';
import { runScenario } from '../conformance/run-scenario';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';

/** Two labs side by side: what one waits for, the other uses. */
const queue = new PQueue({ concurrency: 2 });

describeAsRoot('conformance, iptables', () => {
  const scenarios = [...recordedScenarios('iptables'), ...ownScenarios('iptables')];

  describe.each(['nft', 'legacy'] as const)('%s', (variant) => {
    test.concurrent.each(scenarios.map((scenario) => [scenario.name, scenario] as const))(
      '%s',
      async (_, scenario) => {
        const differences = await queue.add(() =>
          runScenario(scenario, { mode: 'iptables', variant, command: vipwire }),
        );
        expect(differences).toEqual([]);
      },
      120_000,
    );
  });
});
