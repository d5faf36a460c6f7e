import fc from 'fast-check';
import { LineSplitter } from '../../../src/sources/kubernetes/line-splitter';
import { cuts, pieces } from './cut-bytes';

function linesOf(chunks: Iterable<Buffer>): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  for (const chunk of chunks) splitter.push(chunk);
  return lines;
}

describe('LineSplitter', () => {
  it('gives the same lines however the bytes are cut, inside characters too', () => {
    const line = fc.string({ unit: fc.constantFrom('a', 'é', '漢', '🛰', '"', '\\'), minLength: 1 });
    fc.assert(
      fc.property(fc.array(line), cuts, (lines, at) => {
        expect(linesOf(pieces(Buffer.from(lines.map((text) => `${text}\n`).join('')), at))).toEqual(lines);
      }),
    );
  });

  it('leaves out blank lines and a last line that was cut short', () => {
    expect(linesOf([Buffer.from('\n{"a":1}\r\n\r\n{"b"')])).toEqual(['{"a":1}\r']);
  });

  it('takes a line of 16 MB in small pieces in time that grows with its length', () => {
    const piece = Buffer.alloc(1024, 'x');
    const before = process.cpuUsage();
    const lines = linesOf([...Array<Buffer>(16_384).fill(piece), Buffer.from('\n')]);
    expect(lines.map((text) => text.length)).toEqual([16 * 1024 * 1024]);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(1000);
  });
});
