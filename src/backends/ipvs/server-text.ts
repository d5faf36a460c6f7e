/** Virtual servers' texts taken apart, and what leads from one to the other. */
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
  /** The server, and destinations that come or weigh otherwise. */
  readonly additions: readonly ServerWrite[];
  /** Destinations that go. */
  readonly removals: readonly string[];
}

/** `observed` undefined: there is no such server. */
export function changeServer(server: string, desired: string, observed: string | undefined): ServerChange {
  const wanted = parseServerText(desired);
  const seen = observed === undefined ? undefined : parseServerText(observed);
  const additions: ServerWrite[] = [];
  if (seen?.options !== wanted.options)
    additions.push({ op: seen === undefined ? 'add-server' : 'edit-server', server, options: wanted.options });
  for (const [destination, weight] of wanted.weights) {
    const before = seen?.weights.get(destination);
    if (before === weight) continue;
    const op = before === undefined ? 'add-destination' : 'edit-destination';
    additions.push({ op, server, destination, weight: Number(weight) });
  }
  const removals = [...(seen?.weights.keys() ?? [])].filter((destination) => !wanted.weights.has(destination));
  return { additions, removals };
}
