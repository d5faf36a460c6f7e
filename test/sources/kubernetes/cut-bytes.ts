import fc from 'fast-check';

/** The bytes, cut at these places. */
export function* pieces(bytes: Buffer, cuts: readonly number[]): Generator<Buffer> {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const to of [...at, bytes.length]) {
    yield bytes.subarray(from, to);
    from = to;
  }
}

/** Where bytes are cut, modulo their length. */
export const cuts = fc.array(fc.nat(), { maxLength: 12 });
