/** The table of src/config/README.md, made from the same data as --help and the decoder of the file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { runFlags } from '../../src/cli/flags';
import { fieldAt, fieldPaths, isZero } from '../../src/config/fields';
import type { FieldPath } from '../../src/config/fields';

const file = 'src/config/README.md';
const [begin, end] = ['<!-- made by scripts/refresh-golden -->\n', '<!-- until here -->\n'];

function tableOf(group: string): string {
  const rows = runFlags
    .filter((flag) => flag.group === group)
    .map(({ name, short, field, placeholder, help }) => {
      const value = placeholder === '' ? '' : ` ${placeholder}`;
      const flag = `\`${short === name ? '-' : '--'}${name}${value}\`${short === undefined || short === name ? '' : `, \`-${short}\``}`;
      const why = field === undefined ? '' : fieldAt(field).idle;
      return [flag, field === undefined ? '' : `\`${field}\``, why === '' ? help : `${help}. No effect: ${why}`];
    });
  return `### ${group}\n\n${printTable(['flag', 'field', 'what it does'], rows)}`;
}

function fieldsWithoutFlag(): string {
  const bound = new Set<FieldPath | undefined>(runFlags.map(({ field }) => field));
  const rows = fieldPaths
    .filter((path) => !bound.has(path))
    .map((path) => {
      const { about, idle, initial, kind } = fieldAt(path);
      const shown = isZero(initial) ? about : `${about} (default ${kind.print(initial)})`;
      return [`\`${path}\``, idle === '' ? shown : `${shown}. No effect: ${idle}`];
    });
  return `### Fields without a flag\n\n${printTable(['field', 'what it does'], rows)}`;
}

function printTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map(escape).join(' | ')} |\n`);
  return lines.join('').replaceAll('|  |', '| |');
}

function escape(cell: string): string {
  return cell.replaceAll('|', '\\|');
}

test('the table of flags and fields is that of --help (scripts/refresh-golden writes it)', () => {
  const text = readFileSync(file, 'utf8');
  const [head = '', rest = ''] = text.split(begin);
  const tail = rest.split(end)[1] ?? '';
  const groups = [...new Set(runFlags.map(({ group }) => group))];
  const table = [...groups.map(tableOf), fieldsWithoutFlag()].join('\n');
  const expected = `${head}${begin}\n${table}\n${end}${tail}`;
  if (process.env.REFRESH_GOLDEN === '1') writeFileSync(file, expected);
  expect(readFileSync(file, 'utf8')).toBe(expected);
});
