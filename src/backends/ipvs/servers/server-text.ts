/** Takes the texts of virtual servers apart, and finds the writes that lead from one text to another. */
import type { ServerWrite } from './virtual-server';

export interface ServerParts {
  readonly options: string;
  /** `address:port` -> weight, as in the text. */
  readonly weights: ReadonlyMap<string, string>;
}

export function parseServerText(text: string): ServerParts {
  const [options = '', ...lines] = text.split('\n');
  const weights = new Map<string, string>();
  for (const line of lines) {
    const space = line.indexOf(' ');
    weights.set(line.slice(0, space), line.slice(space + 1));
  }
  return { options, weights };
}

/** The text without these destinations. */
export function withoutDestinations(text: string, gone: ReadonlySet<string>): string {
  const [options = '', ...lines] = text.split('\n');
  return [options, ...lines.filter((line) => !gone.has(line.slice(0, line.indexOf(' '))))].join('\n');
}

export interface ServerChange {
  /** Writes of the server, and of destinations that are new or have another weight. */
  readonly additions: readonly ServerWrite[];
  /** Destinations to remove -> their lines in the observed text. */
  readonly removals: ReadonlyMap<string, string>;
}

/** @param observed undefined when there is no such server. */
export function changeServer(server: string, desired: string, observed: string | undefined): ServerChange {
  const options = optionsOf(desired);
  const additions: ServerWrite[] = [];
  if (observed === undefined) additions.push({ op: 'add-server', server, options });
  else if (optionsOf(observed) !== options) additions.push({ op: 'edit-server', server, options });
  const lines = differingLines(desired, observed ?? options);
  const before = new Map(lines.observed.map((line) => [destinationOf(line), line]));
  for (const line of lines.desired) {
    const destination = destinationOf(line);
    const seen = before.get(destination);
    before.delete(destination);
    if (seen === line) continue;
    const op = seen === undefined ? 'add-destination' : 'edit-destination';
    additions.push({ op, server, destination, weight: Number(line.slice(destination.length + 1)) });
  }
  return { additions, removals: before };
}

export interface DifferingLines {
  readonly desired: readonly string[];
  readonly observed: readonly string[];
}

/**
 * The destinations' lines without those that both texts have in common at the beginning and at the end. Both texts are in the order of
 * the endpoints, so few lines of a long text are left when one endpoint changed.
 */
export function differingLines(desired: string, observed: string): DifferingLines {
  const [wanted, seen] = [destinationLines(desired), destinationLines(observed)];
  if (wanted === seen) return { desired: [], observed: [] };
  const shorter = Math.min(wanted.length, seen.length);
  let same = 0;
  while (same < shorter && wanted.charCodeAt(same) === seen.charCodeAt(same)) same++;
  // Only whole lines count: the difference starts after the last line end that both have.
  const start = same === 0 ? 0 : wanted.lastIndexOf('\n', same - 1) + 1;
  const most = shorter - start;
  let tail = 0;
  while (tail < most && wanted.charCodeAt(wanted.length - tail - 1) === seen.charCodeAt(seen.length - tail - 1)) tail++;
  const end = wanted.indexOf('\n', wanted.length - tail);
  const rest = end < 0 ? 0 : wanted.length - end;
  return {
    desired: linesOf(wanted.slice(start, wanted.length - rest)),
    observed: linesOf(seen.slice(start, seen.length - rest)),
  };
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.split('\n');
}

function optionsOf(text: string): string {
  const end = text.indexOf('\n');
  return end < 0 ? text : text.slice(0, end);
}

function destinationLines(text: string): string {
  const end = text.indexOf('\n');
  return end < 0 ? '' : text.slice(end + 1);
}

function destinationOf(line: string): string {
  return line.slice(0, line.indexOf(' '));
}
