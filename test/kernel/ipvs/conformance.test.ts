import { ownScenarios } from '../../conformance/own-scenarios';
import { recordedScenarios } from '../../conformance/recorded-scenarios';
import { ScenarioSeries } from '../../conformance/run-scenario';
import { describeWithIpvs } from '../../support/ipvs-kernel';
import { Lab } from '../../support/lab/lab';
import { vipwire } from '../../support/lab/proxied-node';

// The guest sometimes stands still for longer than a connection waits. What failed is printed, and tried once more on a new node.
jest.retryTimes(1, { logErrorsBeforeRetry: true });

describeWithIpvs('conformance, ipvs', () => {
  const scenarios = ScenarioSeries.order([...recordedScenarios('ipvs'), ...ownScenarios('ipvs')]);
  const lab = new Lab();
  const series = new ScenarioSeries({ mode: 'ipvs', command: vipwire, slow: 5, lab });
  beforeAll(() => lab.start(), 240_000);
  afterAll(async () => {
    await series.stop();
    await lab.stop();
  });

  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))(
    '%s',
    async (_, scenario) => expect(await series.run(scenario)).toEqual([]),
    400_000,
  );
});
