import fc from 'fast-check';
import { LineSplitter } from '../../../src/sources/kubernetes/line-splitter';
import { ListSplitter } from '../../../src/sources/kubernetes/list-splitter';
import { oneLine, TextTooLongError } from '../../../src/sources/kubernetes/text-bounds';

/** The bytes, cut at these places. */
function* pieces(bytes: Buffer, cuts: readonly number[]): Generator<Buffer> {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const to of [...at, bytes.length]) {
    yield bytes.subarray(from, to);
    from = to;
  }
}

function linesOf(chunks: Iterable<Buffer>): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  for (const chunk of chunks) splitter.push(chunk);
  return lines;
}

function listOf(chunks: Iterable<Buffer>): { items: unknown[]; envelope: unknown } {
  const items: unknown[] = [];
  const splitter = new ListSplitter((text) => items.push(JSON.parse(text)));
  for (const chunk of chunks) splitter.push(chunk);
  return { items, envelope: splitter.end() };
}

const cuts = fc.array(fc.nat(), { maxLength: 12 });

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

describe('ListSplitter', () => {
  const item = fc.dictionary(fc.string(), fc.jsonValue());
  const list = fc.record({
    kind: fc.string(),
    metadata: fc.dictionary(fc.string(), fc.jsonValue()),
    items: fc.array(item),
  });

  it('gives what JSON.parse gives, however the bytes are cut', () => {
    fc.assert(
      fc.property(list, cuts, fc.constantFrom(undefined, 1), fc.boolean(), (value, at, indent, itemsFirst) => {
        const ordered = itemsFirst ? Object.fromEntries(Object.entries(value).reverse()) : value;
        const { items, envelope } = listOf(pieces(Buffer.from(JSON.stringify(ordered, null, indent)), at));
        const parsed = JSON.parse(JSON.stringify(ordered)) as { readonly items: unknown[] };
        expect(items).toEqual(parsed.items);
        expect(envelope).toEqual({ ...parsed, items: [] });
      }),
    );
  });

  it('is not taken in by the word in other places', () => {
    const value = {
      a: 'items',
      items2: [{ no: 1 }],
      metadata: { items: [{ no: 2 }] },
      items: [{ items: [{ yes: 1 }] }],
    };
    const { items, envelope } = listOf([Buffer.from(JSON.stringify(value))]);
    expect(items).toEqual([{ items: [{ yes: 1 }] }]);
    expect(envelope).toEqual({ ...value, items: [] });
  });

  it('throws where an item is no object', () => {
    for (const items of ['1', '1,2', '{},1', '1,{}', 'null', '{},null', '"a"', '[]', '{},,{}', '{}{}', ',{}', '{},'])
      expect(() => {
        const { envelope } = listOf([Buffer.from(`{"items":[${items}]}`)]);
        expect((envelope as { items: unknown }).items).toEqual([]);
      }).toThrow();
  });

  it('throws at the end of a list that was cut short', () => {
    expect(() => listOf([Buffer.from('{"kind":"ServiceList","items":[{"a":1},{"b"')])).toThrow(SyntaxError);
    expect(() => listOf([Buffer.from('<html>busy</html>')])).toThrow(SyntaxError);
  });
});

describe('what is kept at once is bounded', () => {
  const megabyte = Buffer.alloc(1 << 20, 'x');
  const endless = (push: (chunk: Buffer) => void, start: string): number => {
    push(Buffer.from(start));
    let megabytes = 0;
    expect(() => {
      for (; megabytes < 1000; megabytes++) push(megabyte);
    }).toThrow(TextTooLongError);
    return megabytes;
  };

  it.each([
    ['a line', new LineSplitter(() => undefined), '{"type":"'],
    ['an item', new ListSplitter(() => undefined), '{"items":[{"a":"'],
    ['an answer', new ListSplitter(() => undefined), '{"kind":"'],
    ['no JSON', new ListSplitter(() => undefined), '<html>'],
  ])('%s', (_what, splitter, start) => {
    expect(endless((chunk) => splitter.push(chunk), start)).toBeLessThanOrEqual(32);
  });

  it('a message is one line, and a copy', () => {
    expect(oneLine(' a\n b\t'.repeat(1000), 9)).toBe('a b a...');
    expect(oneLine('short')).toBe('short');
  });
});
