/**
 * Writes as input of `ipvsadm --restore`. A dry run shows them, and they are used when the netlink addon cannot be loaded.
 *
 *   -A -t 10.96.0.10:80 -s wrr -p 10800
 *   -a -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 1
 *   -e -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 0
 *   -D -f 3145729 -6
 */
import type { Family } from '../../../model/address';
import type { ServerWrite } from './virtual-server';

const words: Readonly<Record<ServerWrite['op'], string>> = {
  'add-server': '-A',
  'edit-server': '-E',
  'delete-server': '-D',
  'add-destination': '-a',
  'edit-destination': '-e',
  'delete-destination': '-d',
};
const kindWords: Readonly<Record<string, string>> = { TCP: '-t', UDP: '-u', SCTP: '--sctp-service', FWM: '-f' };

/** `-t 10.96.0.10:80` */
function printKey(server: string, family: Family): string {
  const space = server.indexOf(' ');
  const kind = server.slice(0, space);
  return `${kindWords[kind]} ${server.slice(space + 1)}${kind === 'FWM' && family === 'IPv6' ? ' -6' : ''}`;
}

/** One line, without its end. */
export function printServerWrite(write: ServerWrite, family: Family): string {
  const line = `${words[write.op]} ${printKey(write.server, family)}`;
  switch (write.op) {
    case 'add-server':
    case 'edit-server':
      return `${line} ${write.options}`;
    case 'delete-server':
      return line;
    case 'add-destination':
    case 'edit-destination':
      return `${line} -r ${write.destination} -m -w ${write.weight}`;
    case 'delete-destination':
      return `${line} -r ${write.destination}`;
  }
}

export function printServerWrites(writes: readonly ServerWrite[], family: Family): string {
  return writes.map((write) => `${printServerWrite(write, family)}\n`).join('');
}

/** The lines that create a whole server, from its key and its text. */
export function printServer(server: string, text: string, family: Family): string {
  const [options = '', ...destinations] = text.split('\n');
  const writes: ServerWrite[] = [{ op: 'add-server', server, options }];
  for (const line of destinations) {
    const [destination = '', weight] = line.split(' ');
    writes.push({ op: 'add-destination', server, destination, weight: Number(weight) });
  }
  return printServerWrites(writes, family);
}
