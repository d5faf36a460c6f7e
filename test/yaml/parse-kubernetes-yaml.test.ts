import fc from 'fast-check';
import { stringify } from 'yaml';
import { parseKubernetesYaml } from '../../src/yaml/parse-kubernetes-yaml';
import { mistakesOf, valueOf, valuesOf } from './read';

test('__proto__ is a key like any other', () => {
  expect(Object.keys(valueOf('__proto__: {a: 1}\nb: 2\n') as object)).toEqual(['__proto__', 'b']);
  expect(Object.keys(valueOf('{"__proto__": {"a": 1}}') as object)).toEqual(['__proto__']);
});

describe('doubled keys', () => {
  test('the last counts, and where it is is told', () => {
    const { documents, mistakes } = parseKubernetesYaml('a:\n  b: 1\n  c: 2\n  b: 3\na: {b: 4}\n');
    expect(mistakes).toEqual([]);
    expect(documents[0]?.value).toEqual({ a: { b: 4 } });
    expect(documents[0]?.doubled.map(({ path, line }) => `${path} ${line}`)).toEqual(['a.b 4', 'a 5']);
  });

  test('in JSON too', () => {
    expect(valueOf('{"a": 1, "a": 2}')).toEqual({ a: 2 });
    expect(parseKubernetesYaml('{"a": 1,\n"a": 2}', { tellLines: true }).documents[0]?.doubled).toMatchObject([
      { path: 'a', line: 2 },
    ]);
  });
});

describe('merge keys', () => {
  test.each([
    ['x: &x {a: 1, b: 2}\nr:\n  <<: *x\n  b: 3\n', { a: 1, b: 3 }],
    ['r: {<<: {a: 1}, b: 2}\n', { a: 1, b: 2 }],
    ['x: &x {a: 1}\nz: &z {a: 2, b: 2}\nr: {<<: [*x, *z]}\n', { a: 1, b: 2 }],
    // go-yaml v2 has it so.
    ['x: &x {a: 1}\nr:\n  a: 2\n  <<: *x\n', { a: 1 }],
    ['r: {"<<": 1}\n', { '<<': 1 }],
  ])('%j', (text, r) => {
    expect(valueOf(text)).toMatchObject({ r });
    expect((valueOf(text) as { r: unknown }).r).toEqual(r);
  });

  test.each(['r: {<<: 1}', 'x: &x [1]\nr: {<<: *x}', 'r: {<<: [1]}'])('%j is refused', (text) => {
    expect(mistakesOf(text)).toEqual([
      expect.stringMatching(/^syntax \d+:\d+ only a mapping or a list of mappings can be merged/),
    ]);
  });
});

describe('aliases', () => {
  test('stand for their anchors', () => {
    expect(valueOf('a: &x {b: [1]}\nc: *x\nd: &k key\n? *k\n: v\n')).toEqual({
      a: { b: [1] },
      c: { b: [1] },
      d: 'key',
      key: 'v',
    });
  });

  test('without an anchor are refused', () => {
    expect(mistakesOf('a: *x\n')).toEqual([expect.stringMatching(/^syntax 1:4 /)]);
  });

  test('within their own anchor are left out', () => {
    expect(mistakesOf('a: &x\n  b: *x\n  c: 1\n')).toEqual(['left out 2:6 a.b: anchor x contains itself: left out']);
    expect(parseKubernetesYaml('a: &x\n  b: *x\n  c: 1\n').documents[0]?.value).toEqual({ a: { b: null, c: 1 } });
  });

  test('that multiply without end are refused, and those of a usual file are not', () => {
    const names = 'abcdefghi'.split('');
    const bomb = names
      .map(
        (name, i) =>
          `${name}: &${name} [${Array(9)
            .fill(i === 0 ? 'x' : `*${names[i - 1]}`)
            .join(', ')}]\n`,
      )
      .join('');
    expect(mistakesOf(bomb)).toEqual(['syntax 1:1 its aliases are far larger than the document itself']);
    const usual = `x: &x {a: 1, b: [1, 2, 3]}\nlist:\n${'- <<: *x\n  c: 2\n'.repeat(500)}`;
    expect(mistakesOf(usual)).toEqual([]);
  });
});

describe('documents', () => {
  test.each([
    ['a: 1\n---\nb: 2\n', [{ a: 1 }, { b: 2 }]],
    ['---\n---\n# nothing\n---\na: 1\n...\n', [{ a: 1 }]],
    ['--- # of one\na: 1\n--- \nb: 2', [{ a: 1 }, { b: 2 }]],
    ['--- {a: 1}\n', [{ a: 1 }]],
    ['\uFEFFa: 1\r\nb:\r\n- 2\r\n---\r\nc: 3\r\n', [{ a: 1, b: [2] }, { c: 3 }]],
    ['a:\tx\n', [{ a: 'x' }]],
    ['', []],
    ['# nothing\n', []],
    ['null\n', []],
    ['{"a": 1}{"b": 2}\n[3]', [{ a: 1 }, { b: 2 }, [3]]],
    ['{"a": "}{\\""}\n\n---\n{"b": 2}\n', [{ a: '}{"' }, { b: 2 }]],
    ['\uFEFF{"a": 1}', [{ a: 1 }]],
    ['{a: 1}\n---\n{"b": no}\n', [{ a: 1 }, { b: false }]],
  ])('%j', (text, values) => {
    expect(valuesOf(text)).toEqual(values);
  });

  test('each says where it begins', () => {
    const lines = (text: string): number[] => parseKubernetesYaml(text).documents.map(({ line }) => line);
    expect(lines('a: 1\n---\n\nb: 2\n')).toEqual([1, 4]);
    expect(lines('{"a": 1}\n{"b": 2}\n')).toEqual([1, 2]);
  });

  test('one that cannot be read costs itself alone', () => {
    const { documents, mistakes } = parseKubernetesYaml('a: 1\n---\nb: [\n---\nc: 3\n');
    expect(documents.map(({ value }) => value)).toEqual([{ a: 1 }, { c: 3 }]);
    expect(mistakes[0]).toMatchObject({ kind: 'syntax' });
  });
});

test('the line of a field', () => {
  const text = 'a:\n  b: 1\nc: &c\n  d: 2\ne:\n  <<: *c\n  f: 3\ng: *c\na:\n  b: 2\n';
  const lineOf = (...path: string[]): number | undefined => parseKubernetesYaml(text).documents[0]?.linesOf(path)?.key;
  expect([lineOf('a'), lineOf('a', 'b'), lineOf('e', 'f'), lineOf('e', 'd'), lineOf('g', 'd'), lineOf('x')]).toEqual([
    9,
    10,
    7,
    undefined,
    4,
    undefined,
  ]);
});

/** V8 ends the process where the yaml package runs out of stack while it compiles a regular expression. */
test.each([
  ['lists in flow', (n: number) => '['.repeat(n) + ']'.repeat(n)],
  ['lists in a block', (n: number) => `${'- '.repeat(n)}x`],
  ['mappings in flow', (n: number) => `${'{a: '.repeat(n)}1${'}'.repeat(n)}`],
  [
    'mappings in a block',
    (n: number) => Array.from({ length: Math.min(n, 3000) }, (_, i) => `${' '.repeat(i)}a:\n`).join(''),
  ],
  ['JSON', (n: number) => `${'{"items":['.repeat(n)}${']}'.repeat(n)}`],
  ['what does not end', (n: number) => '[{a: '.repeat(n)],
])('%s, nested without end, are one mistake', (_what, nest) => {
  for (const depth of [3000, 30_000]) {
    const text = `${nest(depth)}\n`;
    expect(mistakesOf(text)).toEqual(['left out 1:1 nested more than 300 deep: not read']);
    expect(parseKubernetesYaml(`a: 1\n---\n${nest(3000)}\n`).documents.map(({ value }) => value)).toEqual([{ a: 1 }]);
  }
});

test('aliases that nest each other without end are left out', () => {
  const text = Array.from({ length: 400 }, (_, i) => `a${i}: &a${i} [${i === 0 ? '' : `*a${i - 1}`}]\n`).join('');
  const { documents, mistakes } = parseKubernetesYaml(text);
  expect(documents).toHaveLength(1);
  expect(mistakes.length).toBeGreaterThan(0);
  expect(() => JSON.stringify(documents[0]?.value)).not.toThrow();
});

test('JSON values are read the same whether they are written as JSON or as YAML', () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      if (value === null) return;
      const expected = [JSON.parse(JSON.stringify(value)) as unknown];
      const yaml = parseKubernetesYaml(stringify(value, { version: '1.1', lineWidth: 0 }));
      expect(JSON.stringify(yaml.documents.map((each) => each.value))).toBe(JSON.stringify(expected));
      if (typeof value === 'object') {
        const json = parseKubernetesYaml(JSON.stringify(value));
        expect(JSON.stringify(json.documents.map((each) => each.value))).toBe(JSON.stringify(expected));
      }
    }),
  );
});

test('never throws, and says what it did not read', () => {
  const pieces = fc.constantFrom(
    'a: ',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '&a ',
    '*a',
    '<<: ',
    '!!int ',
    '"',
    '|',
    '---\n',
    '\n',
    '\t',
    '? ',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string()), { maxLength: 14 }), (texts) => {
      parseKubernetesYaml(texts.join(''));
      parseKubernetesYaml(texts.join(''), { tellLines: true });
    }),
    { numRuns: 1000 },
  );
});
