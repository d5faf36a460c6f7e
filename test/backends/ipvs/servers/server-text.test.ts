import fc from 'fast-check';
import { changeServer, differingLines, parseServerText } from '../../../../src/backends/ipvs/servers/server-text';
import type { ServerWrite } from '../../../../src/backends/ipvs/servers/virtual-server';

const server = 'TCP 10.96.0.10:80';

/** `-s rr`, and a destination of weight 1 for each number below a thousand. */
function textOf(numbers: readonly number[]): string {
  return ['-s rr', ...numbers.map((number) => `10.244.${Math.floor(number / 250)}.${(number % 250) + 1}:8080 1`)].join(
    '\n',
  );
}

const thousand = Array.from({ length: 1000 }, (_, i) => i);

/** What changeServer returns, found the slow way: it reads and looks up every line of both texts. */
function changeByWholeTexts(desired: string, observed: string | undefined): ReturnType<typeof changeServer> {
  const wanted = parseServerText(desired);
  const seen = observed === undefined ? undefined : parseServerText(observed);
  const additions: ServerWrite[] = [];
  if (seen?.options !== wanted.options)
    additions.push({ op: seen === undefined ? 'add-server' : 'edit-server', server, options: wanted.options });
  for (const [destination, weight] of wanted.weights) {
    const before = seen?.weights.get(destination);
    const op = before === undefined ? 'add-destination' : 'edit-destination';
    if (before !== weight) additions.push({ op, server, destination, weight: Number(weight) });
  }
  const gone = [...(seen?.weights ?? [])].filter(([destination]) => !wanted.weights.has(destination));
  return {
    additions,
    removals: new Map(gone.map(([destination, weight]) => [destination, `${destination} ${weight}`])),
  };
}

describe('lines of which two texts are compared', () => {
  const [head, middle] = [thousand.slice(0, 500), thousand.slice(501)];

  test.each([
    ['the same endpoints', thousand, thousand, 0, 0],
    ['one that comes in the middle', thousand, [...head, ...middle], 2, 1],
    ['one that goes in the middle', [...head, ...middle], thousand, 1, 2],
    ['one that comes at the beginning', thousand, thousand.slice(1), 2, 1],
    ['one that comes at the end', thousand, thousand.slice(0, -1), 2, 1],
    ['one instead of another', [...head, 1200, ...middle], thousand, 1, 1],
    ['the first one instead of another', [1200, ...thousand.slice(1)], thousand, 1, 1],
    ['the last one instead of another', [...thousand.slice(0, -1), 1200], thousand, 1, 1],
    ['none any more', [], thousand, 0, 1000],
  ])('%s', (_, desired, observed, most, mostObserved) => {
    const lines = differingLines(textOf(desired), textOf(observed));
    expect(lines.desired.length).toBeLessThanOrEqual(most);
    expect(lines.observed.length).toBeLessThanOrEqual(mostObserved);
  });

  test('only a few, if one of a thousand changed, whichever it is', () => {
    for (const number of thousand) {
      const lines = differingLines(textOf(thousand), textOf(thousand.with(number, 2000 + number)));
      expect(lines.desired).toHaveLength(1);
      expect(lines.observed).toHaveLength(1);
    }
  });
});

/** Few letters, so that lines begin and end alike. No destination occurs twice. */
const serverText = fc
  .record({
    options: fc.constantFrom('-s rr', '-s r', '-s rr -p 10'),
    lines: fc.uniqueArray(fc.tuple(fc.stringMatching(/^[12]{1,3}$/), fc.constantFrom('0', '1', '11')), {
      selector: ([destination]) => destination,
      maxLength: 12,
    }),
    isSorted: fc.boolean(),
  })
  .map(({ options, lines, isSorted }) => {
    const texts = lines.map(([destination, weight]) => `${destination} ${weight}`);
    return [options, ...(isSorted ? texts.toSorted() : texts)].join('\n');
  });

describe('a virtual server that changes', () => {
  test('gives what a comparison of every line gives', () => {
    fc.assert(
      fc.property(serverText, fc.option(serverText, { nil: undefined }), (desired, observed) => {
        const [fast, slow] = [changeServer(server, desired, observed), changeByWholeTexts(desired, observed)];
        expect(fast.additions).toEqual(slow.additions);
        // Their order counts too.
        expect([...fast.removals]).toEqual([...slow.removals]);
      }),
      { numRuns: 2000 },
    );
  });
});
