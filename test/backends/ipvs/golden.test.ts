import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { goldenIpvs } from '../../golden/golden-ipvs';

const folder = join('test', 'golden');
const files = goldenIpvs();

if (process.env.REFRESH_GOLDEN === '1') {
  rmSync(join(folder, 'ipvs'), { recursive: true, force: true });
  for (const { path, text } of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

test('there is a file for each, and no other', () => {
  const there = readdirSync(join(folder, 'ipvs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ipvs'))
    .map((path) => join('ipvs', path));
  expect(there.sort()).toEqual(files.map(({ path }) => path).sort());
});

test.each(files.map(({ path, text }) => [path, text] as const))('%s', (path, text) => {
  expect(text).toBe(readFileSync(join(folder, path), 'utf8'));
});
