import { join } from 'node:path';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

describeAsRoot('netlink, in a network namespace', () => {
  let told: Record<string, unknown>;
  beforeAll(async () => {
    told = (await runInNetworkNamespace(join(__dirname, 'netlink.guest.ts'))) as Record<string, unknown>;
  });

  test('the nf_tables generation changes with a write, and not with a read', () => {
    expect(told).toMatchObject({ written: 1, read: 0 });
  });

  test('asking for it is cheap', () => {
    expect(told['microseconds']).toBeLessThan(2_000);
  });

  test('thousands of requests at once are all answered', () => {
    expect(told['burst']).toBe(true);
  });

  test('a refusal is an error with its name, and the socket stays usable', () => {
    expect(told).toMatchObject({ refused: 'EINVAL', answersAfterRefusal: 1 });
  });

  test('a closed socket refuses', () => {
    expect(told['afterClose']).toBe('ECANCELED');
  });

  test('the messages of a batch that were refused are known by their numbers, and the others take effect', () => {
    expect(told['batches']).toEqual({
      first: [[3, 'EEXIST']],
      second: [
        [0, 'EEXIST'],
        [2, 'EEXIST'],
        [3, 'EEXIST'],
      ],
      none: 0,
      closed: 'ECANCELED',
    });
  });
});
