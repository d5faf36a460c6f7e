/** What a command line is read as. */
import { parseCommandLine, type Surroundings } from '../../src/cli/command-line';
import type { RunInvocation } from '../../src/cli/invocation';
import { UserError } from '../../src/model/user-error';

export const words = (line: string): string[] => (line === '' ? [] : line.split(' '));

export function run(line: string, surroundings?: Surroundings): RunInvocation {
  const invocation = parseCommandLine(words(line), surroundings);
  if (invocation.kind !== 'run') throw new Error(`it is ${invocation.kind}`);
  return invocation;
}
export function refusal(line: string, surroundings?: Surroundings): string {
  try {
    parseCommandLine(words(line), surroundings);
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}
