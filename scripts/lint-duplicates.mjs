// Finds duplicated code, whatever the names in it: functions and sequences of statements that are equal after each name is replaced
// by its order of appearance. Usage: lint-duplicates.mjs [FOLDER...]
import { readdirSync, readFileSync } from 'node:fs';
import ts from 'typescript';

/** Shorter duplicates are idioms, and are not reported. */
const minTokens = 30;
const folders = process.argv.length > 2 ? process.argv.slice(2) : ['bin', 'src', 'scripts', 'test'];

/** Returns the leaves of the tree in order. Names are kept apart from other text, because shapeOf replaces them by numbers. */
function tokensOf(nodes, file) {
  const tokens = [];
  const visit = (node) => {
    if (ts.isTypeNode(node)) return;
    if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node)) tokens.push({ name: node.text });
    else if (node.getChildCount(file) === 0) tokens.push({ text: node.getText(file) });
    else node.forEachChild(visit);
    if (ts.isBinaryExpression(node) || ts.isPrefixUnaryExpression(node))
      tokens.push({ text: String(node.operatorToken?.kind ?? node.operator) });
    else tokens.push({ text: `#${node.kind}` });
  };
  nodes.forEach(visit);
  return tokens;
}

function shapeOf(tokens) {
  const numbers = new Map();
  return tokens
    .map(({ name, text }) => {
      if (name === undefined) return text;
      if (!numbers.has(name)) numbers.set(name, numbers.size);
      return `$${numbers.get(name)}`;
    })
    .join(' ');
}

const seen = new Map();
const duplicates = [];
let files = 0;

function take(nodes, file) {
  const tokens = tokensOf(nodes, file);
  // Besides each leaf, each node above a leaf is a token, so about a third of the tokens are words of the text.
  if (tokens.length < 3 * minTokens) return;
  const shape = shapeOf(tokens);
  const start = file.getLineAndCharacterOfPosition(nodes[0].getStart(file)).line + 1;
  const end = file.getLineAndCharacterOfPosition(nodes.at(-1).getEnd()).line + 1;
  const place = { file: file.fileName, start, end, size: tokens.length };
  const other = seen.get(shape);
  if (other === undefined) seen.set(shape, place);
  else if (other.file !== place.file || other.end < place.start) duplicates.push([other, place]);
}

for (const folder of folders)
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(ts|mjs)$/.test(entry.name)) continue;
    const path = `${entry.parentPath}/${entry.name}`;
    const file = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
    files++;
    const visit = (node) => {
      if (ts.isFunctionLike(node) && node.body !== undefined) take([node.body], file);
      const statements = ts.isBlock(node) || ts.isSourceFile(node) ? node.statements : [];
      for (let at = 0; at < statements.length; at++)
        for (let length = 2; length <= 6 && at + length <= statements.length; length++)
          take(statements.slice(at, at + length), file);
      node.forEachChild(visit);
    };
    visit(file);
  }

/** Whether the first pair contains the second, which is then not worth reporting. */
const covers = ([a, b], [c, d]) =>
  a.file === c.file &&
  b.file === d.file &&
  a.start <= c.start &&
  a.end >= c.end &&
  b.start <= d.start &&
  b.end >= d.end;
const largest = duplicates
  .sort((one, other) => other[0].size - one[0].size)
  .filter((pair, at, all) => !all.slice(0, at).some((larger) => covers(larger, pair)));
for (const [a, b] of largest)
  console.error(`duplicates except for names: ${a.file}:${a.start}-${a.end} and ${b.file}:${b.start}-${b.end}`);
console.log(`duplicates: ${files} files, ${largest.length} found`);
if (files === 0) console.error('no file was seen');
process.exitCode = largest.length > 0 || files === 0 ? 1 : 0;
