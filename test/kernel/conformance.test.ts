import PQueue from 'p-queue';
import { ownScenarios } from '../conformance/own-scenarios';
import { recordedScenarios } from '../conformance/recorded-scenarios';
import { ScenarioSeries } from '../conformance/run-scenario';
import { hostWays } from '../support/host-ways';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';

/** They run in parallel: while one waits, the others use the machine. */
const lanes = 3;
const queue = new PQueue({ concurrency: lanes });

describeAsRoot('conformance', () => {
  describe.each(hostWays)('%s', (_, way) => {
    const scenarios = ScenarioSeries.order([...recordedScenarios(way.mode), ...ownScenarios(way.mode)]);
    const free = Array.from({ length: lanes }, () => new ScenarioSeries({ ...way, command: vipwire }));
    afterAll(() => Promise.all(free.map((series) => series.stop())));

    test.concurrent.each(scenarios.map((scenario) => [scenario.name, scenario] as const))(
      '%s',
      async (__, scenario) => {
        const differences = await queue.add(async () => {
          const series = free.pop();
          if (series === undefined) throw new Error('no lane is free');
          return series.run(scenario).finally(() => free.push(series));
        });
        expect(differences).toEqual([]);
      },
      // Many wait for a lane.
      400_000,
    );
  });
});
