import { apiBackoff, Backoff } from '../../../src/sources/kubernetes/backoff';

function clockAt(time: { ms: number }): ConstructorParameters<typeof Backoff>[1] {
  return { now: () => time.ms, epochMs: () => time.ms, sleep: () => Promise.resolve() };
}

describe('Backoff', () => {
  it('doubles from 800 ms to 30 s, spread over the upper half', () => {
    const time = { ms: 0 };
    const least = new Backoff(apiBackoff, clockAt(time), () => 0);
    const most = new Backoff(apiBackoff, clockAt(time), () => 1);
    expect(Array.from({ length: 7 }, () => least.nextMs())).toEqual([800, 1600, 3200, 6400, 12_800, 15_000, 15_000]);
    expect(Array.from({ length: 7 }, () => most.nextMs())).toEqual([1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
  });

  it('starts again after two minutes without a failure', () => {
    const time = { ms: 0 };
    const backoff = new Backoff(apiBackoff, clockAt(time), () => 0);
    expect([backoff.nextMs(), backoff.nextMs()]).toEqual([800, 1600]);
    time.ms += 1600 + 119_000;
    expect(backoff.nextMs()).toBe(3200);
    time.ms += 3200 + 120_001;
    expect(backoff.nextMs()).toBe(800);
  });
});
