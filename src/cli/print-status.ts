/** Prints the daemon's status for people. Pure. */
import { alignColumns } from '../inspect/columns';
import type { DaemonStatus, FamilyStatus, WatchStatus } from '../telemetry/status';

type Colour = 'good' | 'doubtful' | 'bad' | 'dim';
type Paint = (text: string, colour: Colour) => string;

const codes: Readonly<Record<Colour, number>> = { good: 32, doubtful: 33, bad: 31, dim: 2 };
const plain: Paint = (text) => text;
const coloured: Paint = (text, colour) => `\u001b[${codes[colour]}m${text}\u001b[0m`;

const mostErrors = 5;
const mostWarnings = 20;

/** About twenty lines, and more where something is wrong. */
export function printStatus(status: DaemonStatus, withColours: boolean): string {
  const paint = withColours ? coloured : plain;
  const { version, node, mode, started, now, families, unanswered, warnings, errors } = status;
  return [
    `vipwire ${version} on ${node}, mode ${mode}, up ${formatAge(started, now)}\n`,
    ...verdicts(status).map(([text, colour]) => `${paint(text, colour)}\n`),
    '\n',
    table(
      ['family', 'state', 'services', 'endpoints', 'rules', 'last sync', 'took', 'wrote'],
      Object.entries(families).map(([family, of]) => familyRow(family, of, now)),
      (cell, column) => (column === 1 ? paint(cell, colourOf(cell)) : cell),
    ),
    ...printApi(status, paint),
    '\n',
    alignColumns(processRows(status)),
    ...(unanswered.length === 0 ? [] : [printUnanswered(status)]),
    section('errors', errors, mostErrors, ({ at, message }) => [`${formatAge(at, now)} ago`, message]),
    section('warnings', warnings, mostWarnings, ({ at, object, message }) => [
      `${formatAge(at, now)} ago`,
      object,
      message,
    ]),
  ].join('');
}

/** Whether nothing has to be done. */
export function isWell(status: DaemonStatus): boolean {
  return status.notReady.length === 0 && status.healthy && !isBlind(status);
}

/** Whether changes in the cluster are not seen. */
function isBlind({ api, watches }: DaemonStatus): boolean {
  const all = Object.values(watches);
  return all.some(({ staleSince }) => staleSince !== undefined) || (api.failures > 0 && all.some((of) => !of.watching));
}

function blindness({ watches, now }: DaemonStatus): string {
  const stale = Object.entries(watches).flatMap(([name, { staleSince }]) =>
    staleSince === undefined ? [] : [`${name} for ${formatAge(staleSince, now)}`],
  );
  return stale.length === 0
    ? 'the API server does not answer: changes are not seen'
    : `changes are not seen: ${stale.join(', ')}`;
}

const stateColours: Readonly<Record<FamilyStatus['state'], Colour>> = {
  'in force': 'good',
  behind: 'doubtful',
  waiting: 'doubtful',
  failing: 'bad',
};

function colourOf(state: string): Colour {
  const found = Object.entries(stateColours).find(([name]) => name === state);
  return found?.[1] ?? 'bad';
}

function verdicts(status: DaemonStatus): (readonly [string, Colour])[] {
  const { notReady, healthy, nodeEligible } = status;
  const cluster = isBlind(status) ? 'the cluster as it was last seen' : 'the present cluster';
  const lines: (readonly [string, Colour])[] = notReady.map((reason) => [`not ready: ${reason}`, 'bad']);
  if (notReady.length === 0) lines.push([`the rules for ${cluster} are in force`, 'good']);
  if (isBlind(status)) lines.push([blindness(status), 'bad']);
  if (!healthy) lines.push(['not healthy: changes have waited too long (/livez is 503)', 'bad']);
  if (!nodeEligible)
    lines.push(['the node is leaving, or not known: no load balancer traffic (/healthz is 503)', 'doubtful']);
  return lines;
}

function familyRow(family: string, of: FamilyStatus, now: string): string[] {
  const { state, services, endpoints, rules, lastSync } = of;
  const tables = Object.entries(rules).filter(([, count]) => count > 0);
  return [
    family,
    state,
    String(services),
    String(endpoints),
    tables.map(([name, count]) => `${name} ${count}`).join(', '),
    ...(lastSync === undefined
      ? ['none yet']
      : [
          `${formatAge(lastSync.at, now)} ago`,
          `${Math.round(lastSync.ms)} ms`,
          `${lastSync.rules} rules, ${formatBytes(lastSync.bytes)}`,
        ]),
  ];
}

function printApi({ api, watches, now }: DaemonStatus, paint: Paint): string[] {
  if (api.host === '') return [];
  const answered = api.lastAnswer === undefined ? 'no answer yet' : `last answer ${formatAge(api.lastAnswer, now)} ago`;
  const how =
    api.failures === 0 ? answered : paint(`${api.failures} requests in a row failed (${api.lastFailure ?? ''})`, 'bad');
  const row = ([name, of]: [string, WatchStatus]): string[] => [
    name,
    of.watching ? 'watching' : 'not watching',
    formatAge(of.since, now),
    String(of.restarts),
    String(of.relists),
    of.lastEnd ?? '',
  ];
  return [
    `\nAPI server ${api.host}: ${how}\n`,
    table(
      ['watch', 'state', 'for', 'restarts', 'lists', 'last end'],
      Object.entries(watches).map(row),
      (cell, column) => (column === 1 ? paint(cell, cell === 'watching' ? 'good' : 'bad') : cell),
    ),
  ];
}

function processRows({ memory, drift, now }: DaemonStatus): string[][] {
  const last = drift.last === undefined ? '' : `, the last ${formatAge(drift.last, now)} ago`;
  return [
    ['memory', `${formatBytes(memory.residentBytes)} resident, ${formatBytes(memory.heapBytes)} of the heap in use`],
    ['drift repairs', `${drift.repairs}${last}`],
  ];
}

function printUnanswered({ unanswered, now }: DaemonStatus): string {
  return section('unanswered', unanswered, mostErrors, ({ since, question, reason, times }) => [
    `for ${formatAge(since, now)}`,
    question,
    `asked ${times} times: ${reason}`,
  ]);
}

function table(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  paint: (cell: string, column: number) => string,
): string {
  if (rows.length === 0) return '';
  return alignColumns(
    [titles, ...rows].map((row) => ['', ...row]),
    (cell, column, row) => (row === 0 ? cell : paint(cell, column - 1)),
  );
}

function section<T>(title: string, all: readonly T[], most: number, row: (each: T) => readonly string[]): string {
  if (all.length === 0) return `${title.padEnd(13)}  none\n`;
  const more = all.length > most ? `  and ${all.length - most} more: --output json\n` : '';
  const rows = all.slice(0, most).map((each) => ['', ...row(each).map((cell) => cell.replaceAll('\n', ' '))]);
  return `\n${title}\n${alignColumns(rows)}${more}`;
}

/** `12 s`, `7 min`, `3 h 5 min`, `2 d 4 h`. */
export function formatAge(since: string, now: string): string {
  const seconds = Math.max(0, Math.round((Date.parse(now) - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function formatBytes(bytes: number): string {
  if (bytes < 10_240) return `${bytes} B`;
  return bytes < 10 << 20 ? `${Math.round(bytes / 1024)} KiB` : `${Math.round(bytes / (1 << 20))} MiB`;
}
