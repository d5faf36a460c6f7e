import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const scripts = ['scripts', '.ci'].flatMap((folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => /^#!.*\b(ba)?sh\n/.test(readFileSync(path, 'utf8'))),
);
const isHere = spawnSync('shellcheck', ['--version']).status === 0;

(isHere ? test : test.skip)('shellcheck has nothing to say of our shell scripts', () => {
  expect(scripts.length).toBeGreaterThan(15);
  const { stdout } = spawnSync('shellcheck', ['--format=gcc', ...scripts], {
    encoding: 'utf8',
  });
  expect(stdout).toBe('');
});
