/** The output of iptables-save as a text to trace or compare. What iptables-save does not show is marked as unread. Pure. */
import { targetChain } from './known-chains';
import { isUnreadRule } from './driver-native-text';
import { SaveParser, type SavedTables } from './parse-save';
import { type TableName, tableNames } from './rules';

export interface UnreadTable {
  readonly table: TableName;
  /** Why iptables-save does not show the table in full. */
  readonly reason: string;
  /** True when a service proxy's rules were read from nf_tables. False when nothing is known of the table. */
  readonly isKnown: boolean;
}

export interface SaveText {
  readonly text: string;
  readonly unread: readonly UnreadTable[];
}

const hooks: Readonly<Record<TableName, readonly string[]>> = {
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
};

/** A match that nobody knows. A trace that meets it says that it cannot tell what happens. */
const unreadMatch = '-m unread';
const unreadChain = 'KUBE-UNREAD';

/** For a text from a file. A table that it does not show in full is replaced by one unreadable rule at each hook. */
export function markUnread(text: string): SaveText {
  const parser = new SaveParser();
  for (const line of text.split('\n')) parser.line(line);
  const saved = parser.result();
  if (saved.unread.size === 0) return { text, unread: [] };
  const unread = [...saved.unread].map(([table, reason]): UnreadTable => ({ table, reason, isKnown: false }));
  const shown = withoutSections(text, new Set(saved.unread.keys()));
  return { text: [shown, ...unread.map(({ table }) => printUnknown(table))].join('\n'), unread };
}

/** For a text of this machine. Tables that were read in another way are replaced. */
export function withTables(text: string, saved: SavedTables): SaveText {
  const seen = new SaveParser();
  for (const line of text.split('\n')) seen.line(line);
  const { complete } = seen.result();
  const read = tableNames.filter(
    (table) => !complete.has(table) && (saved.complete.has(table) || saved.unread.has(table)),
  );
  const gone = new Set<string>(tableNames.filter((table) => !complete.has(table)));
  const unread = [...saved.unread].map(([table, reason]): UnreadTable => ({ table, reason, isKnown: true }));
  return { text: [withoutSections(text, gone), ...read.map((table) => printTable(table, saved))].join('\n'), unread };
}

function withoutSections(text: string, tables: ReadonlySet<string>): string {
  const kept: string[] = [];
  let isKept = true;
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) isKept = !tables.has(line.slice(1).trimEnd());
    if (isKept) kept.push(line);
    if (line === 'COMMIT') isKept = true;
  }
  return kept.join('\n');
}

function printUnknown(table: TableName): string {
  return [
    `*${table}`,
    ...hooks[table].map((hook) => `:${hook} ACCEPT [0:0]`),
    `:${unreadChain} - [0:0]`,
    ...hooks[table].map((hook) => `-A ${hook} ${unreadMatch} -j ${unreadChain}`),
    'COMMIT',
    '',
  ].join('\n');
}

function printTable(table: TableName, { chains, jumps }: SavedTables): string {
  const lines = [...chains[table]].flatMap(([chain, text]) =>
    text === '' ? [] : text.split('\n').map((line) => (isUnreadRule(line) ? `-A ${chain} ${printUnread(line)}` : line)),
  );
  return [
    `*${table}`,
    ...hooks[table].map((hook) => `:${hook} ACCEPT [0:0]`),
    ...[...chains[table].keys()].map((chain) => `:${chain} - [0:0]`),
    ...jumps
      .filter((jump) => jump.table === table)
      .map(({ from, rule }) => `-A ${from} ${isUnreadRule(rule) ? printUnread(rule) : rule}`),
    ...lines,
    'COMMIT',
    '',
  ].join('\n');
}

function printUnread(line: string): string {
  const target = targetChain(line);
  return target === undefined ? unreadMatch : `${unreadMatch} -j ${target}`;
}
