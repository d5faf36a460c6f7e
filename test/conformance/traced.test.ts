import { ownScenarios } from './own-scenarios';
import type { ProbeTracer } from './probe-tracer';
import { recordedScenarios } from './recorded-scenarios';
import { traceScenario } from './trace-scenario';

describe('conformance, iptables, by the rules alone', () => {
  const scenarios = [...recordedScenarios('iptables'), ...ownScenarios('iptables')];
  const tracers = new Map<string, ProbeTracer>();

  const differing = new Map<string, unknown>();
  beforeAll(async () => {
    for (const scenario of scenarios) {
      const { differences, tracer } = await traceScenario(scenario);
      tracers.set(scenario.name, tracer);
      differing.set(scenario.name, differences);
    }
  }, 240_000);

  test.each(scenarios.map(({ name }) => name))('%s', (name) => expect(differing.get(name)).toEqual([]));

  test('next to nothing was left out', () => {
    const skipped = [...tracers].flatMap(([name, tracer]) => tracer.skipped.map((probe) => `${name}: ${probe}`));
    expect(skipped.sort()).toEqual([
      'nodeport-everywhere: ext -> 192.168.88.11 tcp 30080',
      'restart: held connection h',
    ]);
    const probes = scenarios.flatMap(({ steps }) => steps.flatMap((step) => step.probes));
    const traced = [...tracers.values()].reduce((sum, tracer) => sum + tracer.traced, 0);
    expect(traced).toBe(probes.length - skipped.length);
  });

  test('among a thousand Services no first packet walks a hundred rules', () => {
    expect(tracers.get('thousand-services')?.rulesWalked).toBeLessThan(100);
  });
});
