import { textBound, TextTooLongError } from './text-bounds';

const newline = 0x0a;

/**
 * Cuts a stream of bytes into lines of UTF-8 text. A line of several megabytes costs what its bytes cost: pieces are kept
 * as they came and joined once, and are made text only when whole, so that a cut inside a character does no harm.
 */
export class LineSplitter {
  #pieces: Buffer[] = [];
  #kept = 0;

  constructor(private readonly onLine: (line: string) => void) {}

  /** Throws TextTooLongError for a line that no object of a cluster can have. */

  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      this.#emit(chunk, start, end);
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(start === 0 ? chunk : chunk.subarray(start));
  }

  #keep(piece: Buffer): void {
    this.#kept += piece.length;
    if (this.#kept > textBound) {
      this.#pieces = [];
      throw new TextTooLongError('a line');
    }
    this.#pieces.push(piece);
  }

  #emit(chunk: Buffer, start: number, end: number): void {
    let line: string;
    if (this.#pieces.length === 0) line = chunk.toString('utf8', start, end);
    else {
      this.#keep(chunk.subarray(start, end));
      line = Buffer.concat(this.#pieces).toString('utf8');
      this.#pieces = [];
      this.#kept = 0;
    }
    if (line !== '' && line !== '\r') this.onLine(line);
  }
}
