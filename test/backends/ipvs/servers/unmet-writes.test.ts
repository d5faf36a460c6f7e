import { unmetWrites } from '../../../../src/backends/ipvs/servers/unmet-writes';
import type { ServerWrite } from '../../../../src/backends/ipvs/servers/virtual-server';

const server = 'TCP 10.96.0.10:80';
const gone = 'TCP 10.96.0.11:80';
const there = '10.244.1.2:8080';
const absent = '10.244.1.3:8080';
const servers = new Map([[server, `-s rr\n${there} 1`]]);

function unmet(...writes: readonly ServerWrite[]): ServerWrite[] {
  return unmetWrites(writes, servers);
}

describe('writes that are not in force', () => {
  test('none, if all are in force', () => {
    expect(
      unmet(
        { op: 'add-server', server, options: '-s rr' },
        { op: 'edit-destination', server, destination: there, weight: 1 },
        { op: 'delete-destination', server, destination: absent },
        { op: 'delete-destination', server: gone, destination: there },
        { op: 'delete-server', server: gone },
      ),
    ).toEqual([]);
  });

  test('what is there is edited', () => {
    expect(
      unmet(
        { op: 'add-server', server, options: '-s wrr' },
        { op: 'add-destination', server, destination: there, weight: 0 },
      ),
    ).toEqual([
      { op: 'edit-server', server, options: '-s wrr' },
      { op: 'edit-destination', server, destination: there, weight: 0 },
    ]);
  });

  test('what is not there is added', () => {
    expect(
      unmet(
        { op: 'edit-server', server: gone, options: '-s wrr' },
        { op: 'edit-destination', server: gone, destination: there, weight: 1 },
        { op: 'edit-destination', server, destination: absent, weight: 2 },
      ),
    ).toEqual([
      { op: 'add-server', server: gone, options: '-s wrr' },
      { op: 'add-destination', server: gone, destination: there, weight: 1 },
      { op: 'add-destination', server, destination: absent, weight: 2 },
    ]);
  });

  test('what should be gone', () => {
    const writes: ServerWrite[] = [
      { op: 'delete-destination', server, destination: there },
      { op: 'delete-server', server },
    ];
    expect(unmet(...writes)).toEqual(writes);
  });

  test('the last write of a thing counts', () => {
    expect(unmet({ op: 'delete-server', server }, { op: 'add-server', server, options: '-s rr' })).toEqual([]);
    expect(
      unmet(
        { op: 'edit-destination', server, destination: there, weight: 0 },
        { op: 'delete-destination', server, destination: there },
      ),
    ).toEqual([{ op: 'delete-destination', server, destination: there }]);
  });
});
