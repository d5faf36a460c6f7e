/**
 * The answer to a question to the machine or the API server. `unknown` is not `absent`: after `unknown` nothing is removed, given up
 * or decided for the life of the process, and the question is asked again.
 */
import { messageOf } from './error-message';

export type Answer<T> = Found<T> | Absent | Unknown;

export interface Found<T> {
  readonly kind: 'found';
  readonly value: T;
}

/** The question was answered: the thing is not there. */
export interface Absent {
  readonly kind: 'absent';
}

/** There is no answer: a tool failed or did not reply, its reply cannot be understood, or a permission is missing. */
export interface Unknown {
  readonly kind: 'unknown';
  /** One line, in the words of the tool or server that was asked. */
  readonly reason: string;
}

export const absent: Absent = { kind: 'absent' };

export function found<T>(value: T): Found<T> {
  return { kind: 'found', value };
}

/** @param why the error that was thrown, or the reason as text. */
export function unknown(why: unknown): Unknown {
  return { kind: 'unknown', reason: messageOf(why) };
}
