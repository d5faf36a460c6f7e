/** Prints what preflight found, with one row per check. */
import type { Finding, Level } from '../../machine/finding';
import { alignColumns } from '../columns';

/** Shortens a long list: `a, b, c and 4 more`. */
export function some(items: readonly string[], most = 3): string {
  const more = items.length - most;
  return more <= 0 ? items.join(', ') : `${items.slice(0, most).join(', ')} and ${more} more`;
}

function countOf(findings: readonly Finding[], level: Level): number {
  return findings.filter((finding) => finding.level === level).length;
}

export function hasFailed(findings: readonly Finding[]): boolean {
  return countOf(findings, 'fail') > 0;
}

/** Whether something could not be found out. */
export function hasUnknown(findings: readonly Finding[]): boolean {
  return countOf(findings, 'unknown') > 0;
}

/** What to do about a finding has its own row below it. */
export function printTable(title: string, findings: readonly Finding[]): string {
  const rows = findings.flatMap(({ check, level, what, todo }) => [
    [check, level, what],
    ...(todo === '' ? [] : [['', '', `-> ${todo}`]]),
  ]);
  const levels = ['ok', 'warn', 'fail', ...(hasUnknown(findings) ? (['unknown'] as const) : [])] as const;
  const counts = levels.map((level) => `${countOf(findings, level)} ${level}`).join(', ');
  return `${title}\n\n${alignColumns([['CHECK', 'RESULT', 'FOUND'], ...rows])}\n${counts}\n`;
}

export function printJson(mode: string, node: string, findings: readonly Finding[]): string {
  return `${JSON.stringify({ mode, node, failed: hasFailed(findings), findings }, null, 2)}\n`;
}
