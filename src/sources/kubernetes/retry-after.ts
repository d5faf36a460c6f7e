/** Nobody is away for longer on the word of one answer. */
const longestMs = 60_000;

/** What a server asks to wait: seconds or an HTTP date, which is compared with the answer's own `Date`. undefined: nothing of use. */
export function parseRetryAfter(text: string | undefined, date: string | undefined): number | undefined {
  const wanted = text?.trim() ?? '';
  if (/^\d+$/.test(wanted)) return Math.min(Number(wanted) * 1000, longestMs);
  if (!/^[A-Za-z]{3,9},? /.test(wanted)) return undefined;
  const untilMs = Date.parse(wanted);
  const nowMs = Date.parse(date ?? '');
  if (Number.isNaN(untilMs)) return undefined;
  return Math.min(Math.max(0, untilMs - (Number.isNaN(nowMs) ? Date.now() : nowMs)), longestMs);
}
