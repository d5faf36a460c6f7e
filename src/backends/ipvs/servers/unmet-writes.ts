import { parseServerText, type ServerParts } from './server-text';
import type { ServerWrite } from './virtual-server';

/** The write that is still needed in the present state. For example, an addition becomes an edit when the server is there. */
function stillNeeded(write: ServerWrite, seen: ServerParts | undefined): ServerWrite | undefined {
  switch (write.op) {
    case 'add-server':
    case 'edit-server':
      if (seen === undefined) return { ...write, op: 'add-server' };
      return seen.options === write.options ? undefined : { ...write, op: 'edit-server' };
    case 'delete-server':
      return seen === undefined ? undefined : write;
    case 'add-destination':
    case 'edit-destination': {
      const weight = seen?.weights.get(write.destination);
      if (weight === undefined) return { ...write, op: 'add-destination' };
      return weight === write.weight.toString() ? undefined : { ...write, op: 'edit-destination' };
    }
    case 'delete-destination':
      return seen?.weights.has(write.destination) === true ? write : undefined;
  }
}

/** The writes without those that a later write of the same thing replaces, in their order. */
export function lastWrites(writes: readonly ServerWrite[]): ReadonlySet<ServerWrite> {
  const last = new Map<string, ServerWrite>();
  for (const write of writes) {
    const thing = 'destination' in write ? `${write.server} ${write.destination}` : write.server;
    // Deleted first, so that the write moves to its own place in the order.
    last.delete(thing);
    last.set(thing, write);
  }
  return new Set(last.values());
}

/** The writes that are not in force by the servers' texts, in their order. Needed for ipvsadm, whose exit code does not tell. */
export function unmetWrites(writes: readonly ServerWrite[], servers: ReadonlyMap<string, string>): ServerWrite[] {
  const seen = new Map<string, ServerParts>();
  return [...lastWrites(writes)].flatMap((write) => {
    const text = servers.get(write.server);
    let server = seen.get(write.server);
    if (server === undefined && text !== undefined) seen.set(write.server, (server = parseServerText(text)));
    return stillNeeded(write, server) ?? [];
  });
}
