/** Bounds on the texts from an API server that are kept in memory. */

/**
 * Limit in bytes of one line of a watch, of one item of a list, and of the text around the items. By default an API server accepts
 * requests of 3 MiB and etcd objects of 1.5 MiB; as JSON an object is a few times as long.
 */
export const textBound = 32 * 1024 * 1024;

export class TextTooLongError extends Error {
  override readonly name = 'TextTooLongError';
  constructor(what: string) {
    super(`${what} of more than ${textBound / 1024 / 1024} MiB`);
  }
}

const longestMessage = 500;

/** Shortens a text from outside to one line. The result is a copy, because a slice would keep the whole text in memory. */
export function oneLine(text: string, most = longestMessage): string {
  const start = text.slice(0, most).replace(/\s+/g, ' ').trim();
  return Buffer.from(text.length > most ? `${start}...` : start).toString();
}
