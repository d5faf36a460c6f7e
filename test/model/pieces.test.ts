import { finish, finishWithPauses, type Pieces } from '../../src/model/pieces';

function* counting(pieces: number): Pieces<number> {
  let done = 0;
  for (; done < pieces; done++) yield;
  return done;
}

test('all of it at once', () => {
  expect(finish(counting(3))).toBe(3);
  expect(finish(counting(0))).toBe(0);
});

test('a pause is asked for after each piece, and waited for where there is one', async () => {
  let asked = 0;
  let ended = 0;
  const pause = (): Promise<void> | undefined => {
    // The pause before this one has ended before the next piece began.
    expect(ended).toBe(Math.floor(asked / 2));
    asked++;
    return asked % 2 === 0
      ? new Promise((resolve) =>
          setImmediate(() => {
            ended++;
            resolve();
          }),
        )
      : undefined;
  };
  expect(await finishWithPauses(counting(4), pause)).toBe(4);
  expect({ asked, ended }).toEqual({ asked: 4, ended: 2 });
});
