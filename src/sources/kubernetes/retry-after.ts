/** The longest wait that one answer can ask for. */
const longestMs = 60_000;

/**
 * Returns how long the server asks to wait, or undefined when the header is missing or unusable. It has seconds or an HTTP date, which is
 * compared with the answer's own `Date`.
 */
export function parseRetryAfter(text: string | undefined, date: string | undefined): number | undefined {
  const wanted = text?.trim() ?? '';
  if (/^\d+$/.test(wanted)) return Math.min(Number(wanted) * 1000, longestMs);
  if (!/^[A-Za-z]{3,9},? /.test(wanted)) return undefined;
  const untilMs = Date.parse(wanted);
  const nowMs = Date.parse(date ?? '');
  if (Number.isNaN(untilMs)) return undefined;
  return Math.min(Math.max(0, untilMs - (Number.isNaN(nowMs) ? Date.now() : nowMs)), longestMs);
}
