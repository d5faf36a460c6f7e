/** Prints explanations for people. */
import type { Explanation } from './explain-connection';
import type { PodOfService, WayIn } from './explain-service';
import type { ShownRule } from './merge-trails';

/** The most rows of one kind. The rest is only counted. */
const mostRows = 12;
/** A packet matches about twenty rules. The other ones belong to one endpoint each. */
const mostRules = 40;

const outcomes = {
  forwarded: 'forwarded',
  refused: 'refused (ICMP port unreachable)',
  dropped: 'dropped (no answer)',
  untouched: "untouched: it follows the node's routes, as if there were no service proxy",
} as const;

export function printExplanation(explanation: Explanation): string {
  const { from, to, node, mode, frontend, outcome, reasons, receivers, leftOut, source, affinity, rules } = explanation;
  const [first = '', ...others] = reasons;
  const subject = frontend === '' ? '' : `${frontend}: `;
  const lines = [
    `${from} -> ${to}`,
    `${' '.repeat(2)}on ${node === '' ? 'a node without pods' : node}, ${mode} mode`,
    '',
    ...section('outcome', [`${subject}${outcomes[outcome]}`]),
    ...section('because', [first, ...others]),
    ...section(
      'goes to',
      table(receivers.map(({ end, share, pod, nodeName, zone }) => [end, percent(share), pod, nodeName, zone])),
    ),
    ...section('not to', table(leftOut.map(({ end, pod, nodeName, zone, why }) => [end, pod, nodeName, zone, why]))),
    ...section('source', source === '' ? [] : [source]),
    ...section('affinity', affinity === '' ? [] : [affinity]),
    ...section('rules', rules.length === 0 ? ['no rule matches'] : table(rules.map(ruleRow), mostRules)),
    ...section('BUT', explanation.disagreement === '' ? [] : [explanation.disagreement]),
  ];
  return `${lines.join('\n')}\n`;
}

function ruleRow({ table: name, chain, text, share }: ShownRule): string[] {
  return [name, chain, share > 0.9999 ? '' : percent(share), text];
}

export function printWaysIn(ways: readonly WayIn[]): string {
  const rows = ways.map(({ frontend, client, explanation }) => {
    const { outcome, receivers, reasons, source } = explanation;
    const ends = receivers.map(({ end, pod, share }) => `${pod || end} ${percent(share)}`);
    const shown = ends.length > 4 ? [...ends.slice(0, 4), `and ${ends.length - 4} more`] : ends;
    const what = outcome === 'forwarded' ? shown.join(', ') : (reasons[0] ?? '');
    return [frontend, client, outcome, source.replace(/[ ,(:].*/, ''), what];
  });
  return `${table([['WAY IN', 'FROM', 'OUTCOME', 'SOURCE', 'TO, OR WHY NOT'], ...rows], rows.length + 1).join('\n')}\n`;
}

export function printPod(pod: string, rows: readonly PodOfService[]): string {
  const lines = rows.map(({ service, end, share, why }) => [
    service,
    end,
    percent(share.cluster),
    percent(share.local),
    why,
  ]);
  return `${pod}\n${table([['SERVICE', 'ENDPOINT', 'CLUSTER', 'LOCAL', 'WHY NOT'], ...lines], rows.length + 1).join('\n')}\n`;
}

/** Puts the title before the first line and indents the others. */
function section(title: string, lines: readonly string[]): string[] {
  return lines.map((line, i) => `  ${(i === 0 ? title : '').padEnd(9)} ${line}`.trimEnd());
}

/** Aligns the columns and leaves out those that are empty. */
function table(rows: readonly (readonly string[])[], most = mostRows): string[] {
  const shown = rows.length > most + 1 ? rows.slice(0, most) : rows;
  const widths: number[] = [];
  for (const row of shown) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  const lines = shown.map((row) =>
    row
      .flatMap((cell, i) => (widths[i] === 0 ? [] : [cell.padEnd(widths[i] ?? 0)]))
      .join('  ')
      .trimEnd(),
  );
  return shown.length < rows.length ? [...lines, `... and ${rows.length - shown.length} more`] : lines;
}

function percent(share: number): string {
  return share === 0 ? '-' : `${(share * 100).toFixed(share >= 0.1 ? 0 : 1)} %`;
}
