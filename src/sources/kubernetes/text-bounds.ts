/** How much of what an API server sends is ever held as one text. */

/**
 * Bytes of one line of a watch, of one item of a list and of what is around the items. An API server takes requests of 3 MiB and
 * etcd objects of 1.5 MiB by default; as JSON an object is a few times as long.
 */
export const textBound = 32 * 1024 * 1024;

export class TextTooLongError extends Error {
  override readonly name = 'TextTooLongError';
  constructor(what: string) {
    super(`${what} of more than ${textBound / 1024 / 1024} MiB`);
  }
}

const longestMessage = 500;

/** What is said or kept of a text from outside: one line, not long, and a copy, since a slice would keep all of the text in memory. */
export function oneLine(text: string, most = longestMessage): string {
  const start = text.slice(0, most).replace(/\s+/g, ' ').trim();
  return Buffer.from(text.length > most ? `${start}...` : start).toString();
}
