/** What texts of a configuration must not hold: they reach rules, file paths, requests and the log. */
import { isRecord } from './value-kinds';

/** The kernel's IFNAMSIZ, less the zero at its end. */
const longestInterface = 15;

/** Every text in a setting's value, names of gates and patterns too. */
export function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  return isRecord(value) ? Object.entries(value).flatMap(([name, inner]) => [name, ...textsIn(inner)]) : [];
}

const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** A message that quotes what a user gave. */
export function onOneLine(message: string): string {
  return message.replace(controls, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Why it cannot be one line; undefined: it can. No value that means anything has control characters. */
export function lineProblem(text: string): string | undefined {
  return onOneLine(text) !== text ? `${JSON.stringify(text)} has a line break or another control character` : undefined;
}

/**
 * Why it is no interface of iptables' `-i`, or no beginning of one; undefined: it is, or it is empty. The tool takes a `+` at the end of
 * a name for "and whatever follows", as users of kube-proxy know, and puts one behind a prefix.
 */
export function interfaceProblem(text: string, isPrefix: boolean): string | undefined {
  if (text === '') return undefined;
  const longest = isPrefix ? longestInterface - 1 : longestInterface;
  if (!/^[A-Za-z0-9_.@:~^=%,#][-A-Za-z0-9_.@:~^=%,#+]*$/.test(text) || text === '.' || text === '..')
    return `${JSON.stringify(text)} is no ${isPrefix ? 'beginning of a' : ''} name of an interface`.replace('  ', ' ');
  if (text.length > longest) return `${JSON.stringify(text)} has more than ${longest} characters`;
  if (isPrefix && text.endsWith('+')) return `${JSON.stringify(text)} ends in +, which is added to it: leave it out`;
  return undefined;
}
