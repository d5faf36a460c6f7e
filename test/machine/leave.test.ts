import { leave, type Leftovers } from '../../src/machine/leave';
import { createLogger } from '../../src/telemetry/logger';
import { OpenQuestions } from '../../src/telemetry/open-questions';
import { FakeClock } from '../reconciler/fake-clock';

class Node {
  readonly clock = new FakeClock();
  readonly questions = new OpenQuestions(createLogger({ verbosity: 0, format: 'json' }, () => undefined));
  readonly looks: string[] = [];
  readonly stopping = new AbortController();

  /** Gone at the last of these looks. Those before leave something, or fail. */
  left(name: string, ...looks: readonly ('leaves' | 'fails' | 'gone')[]): Leftovers {
    const rest = [...looks];
    const look = (): Promise<boolean> => {
      this.looks.push(name);
      const next = rest.shift() ?? 'gone';
      return next === 'fails' ? Promise.reject(new Error('out of order')) : Promise.resolve(next === 'gone');
    };
    return { question: `what ${name} has left`, pauseMs: 60_000, look };
  }

  leave(...leftovers: readonly Leftovers[]): Promise<void> {
    return leave(leftovers, this, this.stopping.signal);
  }
}

test('all are looked at in their order, and those that are left again, each after its pause', async () => {
  const node = new Node();
  const done = node.leave(node.left('rules', 'leaves', 'gone'), node.left('sets', 'fails', 'leaves', 'gone'));
  await node.clock.advance(0);
  expect(node.looks).toEqual(['rules', 'sets']);
  expect(node.questions.list()).toMatchObject([{ question: 'what sets has left', reason: 'out of order' }]);
  await node.clock.advance(5000);
  expect(node.looks.slice(2)).toEqual(['sets']);
  expect(node.questions.list()).toEqual([]);
  await node.clock.advance(55_000);
  expect(node.looks.slice(3)).toEqual(['rules']);
  await node.clock.advance(5000);
  await done;
  expect(node.looks.slice(4)).toEqual(['sets']);
});

test('what fails is looked at less and less often', async () => {
  const node = new Node();
  const done = node.leave(node.left('sets', 'fails', 'fails', 'fails', 'gone'));
  await node.clock.advance(5000);
  await node.clock.advance(10_000);
  expect(node.looks).toHaveLength(3);
  await node.clock.advance(19_000);
  expect(node.looks).toHaveLength(3);
  await node.clock.advance(1000);
  await done;
});

test('it ends when it is told to, and looks at nothing more', async () => {
  const node = new Node();
  const done = node.leave(node.left('rules', 'leaves'), node.left('sets', 'leaves'));
  await node.clock.advance(0);
  node.stopping.abort();
  await done;
  await node.clock.advance(120_000);
  expect(node.looks).toEqual(['rules', 'sets']);
  await node.leave(node.left('more', 'leaves'));
  expect(node.looks).toHaveLength(2);
});
