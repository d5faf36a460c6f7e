/** recorded/*.json: what happened to the packets of these scenarios with kube-proxy 1.36.2, mode by mode. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CheckedProbe, Expectation, Mode, Probe, ProbeResult, Scenario, Step } from './scenario';

interface RecordedScenario extends Omit<Scenario, 'steps'> {
  readonly steps: readonly (Omit<Step, 'probes'> & { readonly probes: readonly Probe[] })[];
  /** By step and probe. */
  readonly expected: Readonly<Partial<Record<Mode, readonly (readonly ProbeResult[])[]>>>;
  /** What is right instead of what was recorded, where kube-proxy is wrong or chance decides. Counted from 1. */
  readonly wanted?: Readonly<
    Partial<Record<Mode, readonly { readonly step: number; readonly probe: number; readonly result: ProbeResult }[]>>
  >;
}

function expectationOf(recorded: RecordedScenario, mode: Mode, step: number, probe: number): Expectation {
  const wanted = recorded.wanted?.[mode]?.find((entry) => entry.step === step + 1 && entry.probe === probe + 1);
  if (wanted !== undefined) return { kind: 'wanted', result: wanted.result };
  const result = recorded.expected[mode]?.[step]?.[probe];
  if (result === undefined) throw new Error(`${recorded.name}: nothing recorded for ${mode}, step ${step + 1}`);
  return { kind: 'recorded', result };
}

export function recordedScenarios(mode: Mode): Scenario[] {
  const folder = join('test', 'recorded', 'scenarios');
  return readdirSync(folder).map((file) => {
    const recorded = JSON.parse(readFileSync(join(folder, file), 'utf8')) as RecordedScenario;
    const check = (probe: Probe, step: number, n: number): CheckedProbe => ({
      probe,
      expectation: expectationOf(recorded, mode, step, n),
    });
    const steps = recorded.steps.map((step, n) => ({
      ...step,
      probes: step.probes.map((probe, i) => check(probe, n, i)),
    }));
    return { ...recorded, steps };
  });
}
