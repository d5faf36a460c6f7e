/**
 * What a question to the machine or the API server was answered. `unknown` is not `absent`: nothing is removed, given up or decided
 * for the life of the process because of it, and the question is asked again.
 */
import { messageOf } from './error-message';

export type Answer<T> = Found<T> | Absent | Unknown;

export interface Found<T> {
  readonly kind: 'found';
  readonly value: T;
}

/** It was asked, and it is not there. */
export interface Absent {
  readonly kind: 'absent';
}

/** It could not be told: a tool that failed or did not answer, an answer that cannot be understood, a right that is missing. */
export interface Unknown {
  readonly kind: 'unknown';
  /** In the words of whoever was asked, one line. */
  readonly reason: string;
}

export const absent: Absent = { kind: 'absent' };

export function found<T>(value: T): Found<T> {
  return { kind: 'found', value };
}

/** @param why what was thrown, or the reason itself. */
export function unknown(why: unknown): Unknown {
  return { kind: 'unknown', reason: messageOf(why) };
}
