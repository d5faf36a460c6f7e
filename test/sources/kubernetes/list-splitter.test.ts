import fc from 'fast-check';
import { LineSplitter } from '../../../src/sources/kubernetes/line-splitter';
import { ListSplitter } from '../../../src/sources/kubernetes/list-splitter';
import { oneLine, TextTooLongError } from '../../../src/sources/kubernetes/text-bounds';
import { cuts, pieces } from './cut-bytes';

function listOf(chunks: Iterable<Buffer>): { items: unknown[]; envelope: unknown } {
  const items: unknown[] = [];
  const splitter = new ListSplitter((text) => items.push(JSON.parse(text)));
  for (const chunk of chunks) splitter.push(chunk);
  return { items, envelope: splitter.end() };
}

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
