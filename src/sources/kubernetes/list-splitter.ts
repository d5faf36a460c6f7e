import { textBound, TextTooLongError } from './text-bounds';

const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const itemsKey = '"items"';

function notObjects(): SyntaxError {
  return new SyntaxError('not every item of the list is an object');
}

/**
 * Cuts the JSON text of a Kubernetes list into the texts of its items while it arrives, so that only one item at a time is parsed:
 * when the server ignores `limit`, a list has 100 MB and more. It looks only at brackets and strings; JSON.parse checks the items.
 */
export class ListSplitter {
  /** Bytes of the present item, or of the text around the items. */
  #pieces: Buffer[] = [];
  readonly #envelope: Buffer[] = [];
  /** Number of open brackets. The list is at depth 1, `items` at 2, the contents of an item at 3 and deeper. */
  #depth = 0;
  #inItems = false;
  #inString = false;
  #escaped = false;
  /** The latest string at depth 1, with quotes and cut to the length of itemsKey. It is the key of the next bracket. */
  #key = '';
  /** Bytes in #pieces and #envelope. */
  #kept = 0;
  #items = 0;
  #commas = 0;

  readonly #onItem: (text: string) => void;
  readonly #onItems: (before: unknown) => void;

  /** @param onItems is called before the first item, with the fields that came before the items. */
  constructor(onItem: (text: string) => void, onItems: (before: unknown) => void = () => undefined) {
    this.#onItem = onItem;
    this.#onItems = onItems;
  }

  /** Throws what the callbacks throw, and TextTooLongError for an item that is longer than any object of a cluster. */
  push(chunk: Buffer): void {
    let depth = this.#depth;
    /** The start of the bytes that are not taken yet. */
    let from = 0;
    let i = 0;
    if (this.#inString) i = this.#skipString(chunk, 0, depth);
    while (i < chunk.length) {
      const byte = chunk[i++];
      if (byte === quote) {
        if (depth === 1) this.#key = '"';
        i = this.#skipString(chunk, i, depth);
      } else if (byte === openBrace || byte === openBracket) {
        depth++;
        if (this.#inItems && depth === 3) {
          this.#beginItem(chunk, from, i - 1);
          from = i - 1;
        } else if (depth === 2 && byte === openBracket && this.#key === itemsKey) {
          this.#inItems = true;
        }
      } else if (byte === closeBrace || byte === closeBracket) {
        depth--;
        if (this.#inItems && depth === 2) {
          const item = Buffer.concat(this.#take(chunk, from, i));
          this.#kept = 0;
          this.#onItem(item.toString('utf8'));
          from = i;
        } else if (depth === 1) this.#inItems = false;
      } else if (byte === comma && this.#inItems && depth === 2) {
        this.#commas++;
        from = i;
      }
    }
    this.#depth = depth;
    if (from < chunk.length) this.#keep(from === 0 ? chunk : chunk.subarray(from));
  }

  /** Called at an item's first bracket. The bytes before it, from `from` on, belong to the text around the items. */
  #beginItem(chunk: Buffer, from: number, at: number): void {
    this.#envelope.push(...this.#take(chunk, from, at));
    if (chunk[at] === openBracket) throw notObjects();
    if (this.#items++ === 0) this.#onItems(this.#before());
  }

  /** Returns the list without its items. Throws SyntaxError when the text is cut short or not JSON. */
  end(): unknown {
    const envelope: unknown = JSON.parse(this.#text([...this.#envelope, ...this.#pieces]));
    if (this.#commas !== Math.max(0, this.#items - 1)) throw notObjects();
    return envelope;
  }

  #before(): unknown {
    return JSON.parse(this.#text([...this.#envelope, Buffer.from(']}')]));
  }

  #text(pieces: readonly Buffer[]): string {
    return Buffer.concat(pieces).toString('utf8');
  }

  #keep(piece: Buffer): void {
    this.#kept += piece.length;
    if (this.#kept > textBound) {
      this.#pieces = [];
      throw new TextTooLongError(this.#inItems ? 'an item' : 'an answer');
    }
    this.#pieces.push(piece);
  }

  /** Returns the end of the string whose contents start at i. The string may continue in the next chunk. */
  #skipString(chunk: Buffer, i: number, depth: number): number {
    const start = i;
    let escaped = this.#escaped;
    let closed = false;
    while (i < chunk.length && !closed) {
      const byte = chunk[i++];
      if (escaped) escaped = false;
      else if (byte === backslash) escaped = true;
      else if (byte === quote) closed = true;
    }
    this.#escaped = escaped;
    this.#inString = !closed;
    if (depth === 1)
      this.#key = (this.#key + chunk.toString('latin1', start, Math.min(i, start + itemsKey.length))).slice(
        0,
        itemsKey.length,
      );
    return i;
  }

  #take(chunk: Buffer, from: number, to: number): Buffer[] {
    const taken = this.#pieces;
    this.#pieces = [];
    if (to > from) taken.push(chunk.subarray(from, to));
    return taken;
  }
}
