/** Tools whose answers depend on their command line. A tool without a script is not on this machine. */
import { CommandError, type CommandOptions, type RunCommand } from '../../src/host/command';

export interface ScriptedCall {
  readonly command: string;
  readonly input: string | undefined;
}
export type ScriptedAnswer = string | CommandError;

export class ScriptedTools {
  readonly calls: ScriptedCall[] = [];

  constructor(private readonly answer: (command: string, input: string) => ScriptedAnswer | undefined) {}

  readonly run: RunCommand = (file, args, options: CommandOptions = {}) => {
    const command = [file, ...args].join(' ');
    this.calls.push({ command, input: options.input });
    const answer = this.answer(command, options.input ?? '') ?? toolFailure(file, undefined, '', true);
    if (answer instanceof CommandError) return Promise.reject(answer);
    if (options.onLine === undefined) return Promise.resolve({ stdout: answer, durationMs: 1 });
    answer.split('\n').forEach(options.onLine);
    return Promise.resolve({ stdout: '', durationMs: 1 });
  };
}

export function toolFailure(
  file: string,
  exitCode: number | undefined,
  stderr: string,
  notFound = false,
): CommandError {
  return new CommandError(file, { exitCode, stderr, durationMs: 3, notFound });
}
