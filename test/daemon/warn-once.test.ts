import { WarnOnce } from '../../src/daemon/warn-once';
import type { ClusterWarning } from '../../src/model/cluster';
import { createLogger } from '../../src/telemetry/logger';
import { parseLogLine } from '../support/log-lines';

function makeWarnOnce(): { readonly warn: WarnOnce; readonly lines: string[]; readonly counted: ClusterWarning[] } {
  const lines: string[] = [];
  const counted: ClusterWarning[] = [];
  const log = createLogger({ verbosity: 0, format: 'json' }, (line) => lines.push(parseLogLine(line).msg));
  return { warn: new WarnOnce(log, (warning) => counted.push(warning)), lines, counted };
}

const bad = { object: 'Service a/b', kind: 'bad-field', message: 'no port' } as const;

test('a fault of an object is counted each time, and logged once per object', () => {
  const { warn, lines, counted } = makeWarnOnce();
  const other = { ...bad, object: 'Service a/c' };
  for (const warning of [bad, bad, other, bad]) warn.ofObject(warning);
  expect(counted).toEqual([bad, bad, other, bad]);
  expect(lines).toEqual(['no port', 'no port']);
});

test('a fault of the node is counted and logged once', () => {
  const { warn, lines, counted } = makeWarnOnce();
  for (let n = 0; n < 3; n++) warn.ofNode('no-zone', 'the zone is unknown');
  expect(counted).toEqual([{ object: 'this node', kind: 'no-zone', message: 'the zone is unknown' }]);
  expect(lines).toEqual(['the zone is unknown']);
});

test('what is remembered is bounded: after a thousand others a fault is logged again', () => {
  const { warn, lines } = makeWarnOnce();
  for (let n = 0; n < 1000; n++) warn.ofObject({ ...bad, object: `Service a/${n}` });
  warn.ofObject({ ...bad, object: 'Service a/999' });
  expect(lines).toHaveLength(1000);
  warn.ofObject({ ...bad, object: 'Service a/1000' });
  warn.ofObject({ ...bad, object: 'Service a/0' });
  expect(lines).toHaveLength(1002);
});
