/** Writes lines to a stream that somebody may have stopped reading. */
import type { Writable } from 'node:stream';

/** Limit of what is kept for a slow reader. Further lines are dropped and counted. */
const mostBufferedBytes = 1 << 20;

/**
 * Node.js writes to a pipe or socket without waiting, and keeps in memory what the reader has not taken yet. Without a bound, a log
 * that nobody reads would fill the memory.
 * @param onReaderBack is called with the number of dropped lines, once the reader has taken everything that was kept.
 */
export function boundedWriter(stream: Writable, onReaderBack: (dropped: number) => void): (line: string) => void {
  let dropped = 0;
  stream.on('drain', () => {
    if (dropped === 0) return;
    const count = dropped;
    dropped = 0;
    onReaderBack(count);
  });
  return (line) => {
    if (stream.writableLength + line.length > mostBufferedBytes) dropped++;
    else stream.write(line);
  };
}
