/** Writes lines to a stream that somebody may have stopped reading. */
import type { Writable } from 'node:stream';

/** What is kept for a slow reader. Lines beyond that are dropped and counted. */
const mostBufferedBytes = 1 << 20;

/**
 * Node writes to a pipe or socket without waiting, and keeps what the reader has not taken: without a bound a log that nobody reads
 * would fill the memory.
 * @param onReaderBack is called with the number of lines that were dropped, once the reader has taken what was kept.
 */
export function boundedWriter(stream: Writable, onReaderBack: (dropped: number) => void): (line: string) => void {
  let dropped = 0;
  stream.on('drain', () => {
    if (dropped === 0) return;
    const untold = dropped;
    dropped = 0;
    onReaderBack(untold);
  });
  return (line) => {
    if (stream.writableLength + line.length > mostBufferedBytes) dropped++;
    else stream.write(line);
  };
}
