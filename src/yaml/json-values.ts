/** Reads a text of several JSON documents as kubectl does: they follow each other directly, or with `---` between them. */

export interface JsonValue {
  readonly value: unknown;
  /** How deep its lists and objects are nested. */
  readonly depth: number;
  /** Where it begins in the text. */
  readonly offset: number;
}

interface Extent {
  readonly end: number;
  readonly depth: number;
}

const quote = 0x22;
const backslash = 0x5c;
const openers = new Set([0x7b, 0x5b]);
const closers = new Set([0x7d, 0x5d]);

/** Returns the offset of the closing quote of the string that begins here. */
function stringEnd(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text.charCodeAt(i) !== quote) i += text.charCodeAt(i) === backslash ? 2 : 1;
  return i;
}

/** Returns the extent of the list or object that begins here, or undefined if it does not end. */
function extentOf(text: string, start: number): Extent | undefined {
  let [open, depth] = [0, 0];
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === quote) i = stringEnd(text, i);
    else if (openers.has(code)) depth = Math.max(depth, ++open);
    else if (closers.has(code) && --open === 0) return { end: i + 1, depth };
  }
  return undefined;
}

const between = /(?:\s|^---[ \t]*$)*/my;

function skipBetween(text: string, from: number): number {
  between.lastIndex = from;
  return from + (between.exec(text)?.[0].length ?? 0);
}

/**
 * Returns undefined if the text is anything other than lists and objects in JSON. Only JSON.parse sees the depth, and nothing here is
 * recursive, because a text may be nested a million deep.
 */
export function readJsonValues(text: string): readonly JsonValue[] | undefined {
  const values: JsonValue[] = [];
  let offset = skipBetween(text, 0);
  while (offset < text.length) {
    const extent = openers.has(text.charCodeAt(offset)) ? extentOf(text, offset) : undefined;
    if (extent === undefined) return undefined;
    try {
      values.push({ value: JSON.parse(text.slice(offset, extent.end)), depth: extent.depth, offset });
    } catch {
      return undefined;
    }
    offset = skipBetween(text, extent.end);
  }
  return values;
}
