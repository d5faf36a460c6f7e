/** Decodes the bytes of a file. Kubernetes' files are UTF-8; PowerShell's `>` writes UTF-16. */

const marks: readonly (readonly [encoding: string, mark: readonly number[]])[] = [
  ['UTF-32', [0xff, 0xfe, 0, 0]],
  ['UTF-32', [0, 0, 0xfe, 0xff]],
  ['utf-16le', [0xff, 0xfe]],
  ['utf-16be', [0xfe, 0xff]],
];

function startsWith(bytes: Uint8Array, mark: readonly number[]): boolean {
  return mark.every((byte, i) => bytes[i] === byte);
}

/** Assumes that the first letters are ASCII, as in every document that vipwire reads. */
function looksLikeUtf16(bytes: Uint8Array): boolean {
  const [a, b, c, d] = bytes;
  if (bytes.length < 4) return false;
  return (a !== 0 && b === 0 && c !== 0 && d === 0) || (a === 0 && b !== 0 && c === 0 && d !== 0);
}

/** Decodes by the byte order mark; without one, as UTF-8. For an unsupported encoding it throws, with the reason in `code`. */
export function decodeText(bytes: Uint8Array, path: string): string {
  const encoding = marks.find(([, mark]) => startsWith(bytes, mark))?.[0];
  if (encoding === 'UTF-32') throw notRead(path, 'it is UTF-32: save it as UTF-8');
  if (encoding === undefined && looksLikeUtf16(bytes))
    throw notRead(path, 'it is UTF-16 without a byte order mark: save it as UTF-8');
  return new TextDecoder(encoding ?? 'utf-8').decode(bytes);
}

function notRead(path: string, reason: string): Error {
  return Object.assign(new Error(`${path}: ${reason}`), { code: reason });
}
