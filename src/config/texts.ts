/** Checks of the texts in a configuration, which end up in rules, file paths, requests and the log. */
import { isRecord } from './value-kinds';

/** The kernel's IFNAMSIZ without the terminating zero. */
const longestInterface = 15;

/** Returns every text in a setting's value, including the names of gates and patterns. */
export function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  return isRecord(value) ? Object.entries(value).flatMap(([name, inner]) => [name, ...textsIn(inner)]) : [];
}

const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** Escapes line breaks and control characters in a message that quotes user input. */
export function onOneLine(message: string): string {
  return message.replace(controls, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Returns why the text is not usable as one line, or undefined when it is. No useful value has control characters. */
export function lineProblem(text: string): string | undefined {
  return onOneLine(text) !== text ? `${JSON.stringify(text)} has a line break or another control character` : undefined;
}

/**
 * Returns why iptables' `-i` does not accept the text as an interface name (or, for `isPrefix`, as the beginning of one). Returns
 * undefined when it does, and for ''. iptables reads a `+` at the end of a name as "any continuation", which users of kube-proxy rely
 * on; vipwire appends one to a prefix.
 */
export function interfaceProblem(text: string, isPrefix: boolean): string | undefined {
  if (text === '') return undefined;
  const longest = isPrefix ? longestInterface - 1 : longestInterface;
  if (!/^[A-Za-z0-9_.@:~^=%,#][-A-Za-z0-9_.@:~^=%,#+]*$/.test(text) || text === '.' || text === '..')
    return `${JSON.stringify(text)} is not ${isPrefix ? 'the beginning of an interface name' : 'an interface name'}`;
  if (text.length > longest) return `${JSON.stringify(text)} has more than ${longest} characters`;
  if (isPrefix && text.endsWith('+')) return `${JSON.stringify(text)} ends in +: leave it out, vipwire adds it`;
  return undefined;
}
