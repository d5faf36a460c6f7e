import { textBound, TextTooLongError } from './text-bounds';

const newline = 0x0a;

/**
 * Cuts a stream of bytes into lines of UTF-8 text. Pieces of a line are kept as they came and joined once, so the cost of a long line
 * is linear. They become text only when the line is complete, so a chunk may end inside a character.
 */
export class LineSplitter {
  #pieces: Buffer[] = [];
  #kept = 0;

  readonly #onLine: (line: string) => void;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  /** Throws TextTooLongError for a line that is longer than any object of a cluster. */
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
    if (line !== '' && line !== '\r') this.#onLine(line);
  }
}
