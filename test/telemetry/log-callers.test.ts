/** The shipped program's lines of the log name the source that they come from. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Bundle } from '../cli/bundle';

const sources = new Map(
  readdirSync('src', { recursive: true, encoding: 'utf8' }).map((path) => [basename(path), join('src', path)]),
);

let bundle: Bundle;
beforeAll(() => {
  bundle = Bundle.make();
});
afterAll(() => bundle.remove());

test.each(['text', 'json'])('%s', async (format) => {
  const manifests = join(process.cwd(), 'manifests', 'examples');
  const args = ['run', '--dry-run', '--manifests', manifests, '--hostname-override=node-1', '--logging-format', format];
  const { code, stderr } = await bundle.run(args);
  expect(code).toBe(0);
  const callers = [...stderr.matchAll(/(?:^[IWE]\d{4} \S+ +\d+ |"caller":")([^\]":]+):(\d+)/gm)];
  expect(callers).toHaveLength(stderr.trimEnd().split('\n').length);
  expect(callers.length).toBeGreaterThan(3);
  for (const [, file = '', line = ''] of callers) {
    const text = readFileSync(sources.get(file) ?? file, 'utf8').split('\n')[Number(line) - 1];
    expect(text).toMatch(/\blog[.[]/);
  }
});
