import fc from 'fast-check';
import { type NextStep, ResumeFailures, type WatchEnd } from '../../../src/sources/kubernetes/resume-failures';

const bad: WatchEnd = { cause: 'bad', resumed: true, openMs: 5, events: 0 };
const first: WatchEnd = { ...bad, resumed: false };
const good: WatchEnd = { cause: 'over', resumed: true, openMs: 300_000, events: 9 };
const short: WatchEnd = { cause: 'over', resumed: true, openMs: 5, events: 0 };
const silent: WatchEnd = { cause: 'silent', resumed: true, openMs: 150_000, events: 0 };
const refused: WatchEnd = { cause: 'refused', resumed: true, openMs: 0, events: 0 };
const unanswered: WatchEnd = { ...refused, cause: 'unanswered' };

function steps(...ends: readonly WatchEnd[]): NextStep[] {
  const failures = new ResumeFailures(1000);
  return ends.map((end) => failures.next(end));
}

it.each<[string, readonly WatchEnd[], readonly NextStep[]]>([
  ['an end in good order is resumed', [good, good, good], ['resume', 'resume', 'resume']],
  ['the first watch after a list is no resume', [first, bad, bad], ['wait', 'wait', 'list']],
  ['two resumes that fail lead to a list', [good, bad, refused], ['resume', 'wait', 'list']],
  ['watches that end at once do too', [short, short], ['wait', 'list']],
  [
    'where the list does not help, every failure leads to the next',
    [bad, bad, first, first],
    ['wait', 'list', 'list', 'list'],
  ],
  ['a good watch ends the row', [bad, good, bad, bad], ['wait', 'resume', 'wait', 'list']],
  ['so does a long one that ends badly', [bad, { ...bad, openMs: 90_000 }, bad], ['wait', 'wait', 'wait']],
  ['a server that is away is waited for', Array<WatchEnd>(9).fill(unanswered), Array<NextStep>(9).fill('wait')],
  ['silence is resumed, and then listed', [silent, silent], ['resume', 'list apart']],
  [
    'events between two silences begin anew',
    [silent, { ...silent, events: 1 }, silent],
    ['resume', 'resume', 'list apart'],
  ],
  ['another end between two silences too', [silent, good, silent], ['resume', 'resume', 'resume']],
])('%s', (_name, ends, next) => {
  expect(steps(...ends)).toEqual(next);
});

it('never goes on for ever: of three failures in a row that the server answered, one leads to a list', () => {
  const failing = fc.oneof(
    fc.record({
      cause: fc.constantFrom('bad', 'refused' as const),
      resumed: fc.constant(true),
      openMs: fc.nat(59_999),
      events: fc.nat(3),
    }),
    fc.record({
      cause: fc.constant('over' as const),
      resumed: fc.constant(true),
      openMs: fc.nat(999),
      events: fc.nat(3),
    }),
    fc.record({
      cause: fc.constant('silent' as const),
      resumed: fc.constant(true),
      openMs: fc.nat(),
      events: fc.constant(0),
    }),
  ) as fc.Arbitrary<WatchEnd>;
  fc.assert(
    fc.property(fc.array(failing, { minLength: 4, maxLength: 30 }), (ends) => {
      const next = steps(...ends);
      for (let at = 0; at + 4 <= next.length; at++)
        expect(next.slice(at, at + 4).some((step) => step.startsWith('list'))).toBe(true);
    }),
  );
});
