import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTextFile, readTextFiles, watchPaths } from '../../src/host/files';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'files-'));
});
afterEach(() => rm(folder, { recursive: true }));

const at = (...parts: string[]): string => join(folder, ...parts);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('reads in order, and goes on past what cannot be read', async () => {
  await mkdir(at('sub'));
  await writeFile(at('sub', 'b.yaml'), 'b');
  await writeFile(at('sub', 'a.yaml'), 'a');
  await symlink('nowhere', at('sub', 'broken.yaml'));
  await symlink('nowhere', at('sub', 'broken.txt'));
  await writeFile(at('c'), 'c');
  expect(await readTextFiles([at('sub'), at('missing'), at('c')], ['.yaml'])).toEqual({
    files: [
      { path: at('sub', 'a.yaml'), text: 'a' },
      { path: at('sub', 'b.yaml'), text: 'b' },
      { path: at('c'), text: 'c' },
    ],
    failures: [
      { path: at('sub', 'broken.yaml'), code: 'ENOENT' },
      { path: at('missing'), code: 'ENOENT' },
    ],
  });
  expect(await readTextFile(at('c'))).toBe('c');
  await expect(readTextFile(at('missing'))).rejects.toMatchObject({ code: 'ENOENT' });
});

/** Counts calls. `next` waits for one, two seconds at most, and forgets those that came. */
function counter(): { onChange: () => void; next: () => Promise<number> } {
  let calls = 0;
  return {
    onChange: () => calls++,
    next: async () => {
      const end = Date.now() + 2000;
      while (calls === 0 && Date.now() < end) await pause(10);
      await pause(100);
      const seen = calls;
      calls = 0;
      return seen;
    },
  };
}

test('calls at first, seldom for a burst, and not after its end', async () => {
  await writeFile(at('a'), '0');
  const { onChange, next } = counter();
  const end = watchPaths([at('a')], onChange);
  expect(await next()).toBeGreaterThan(0);
  for (let i = 0; i < 200; i++) await writeFile(at('a'), String(i));
  const calls = await next();
  expect(calls).toBeGreaterThan(0);
  expect(calls).toBeLessThan(20);
  await writeFile(at('a'), 'before');
  end();
  await writeFile(at('a'), 'after');
  expect(await next()).toBe(0);
});

test('a writer that does not stop is read in between', async () => {
  await writeFile(at('a'), '0');
  const { onChange, next } = counter();
  const end = watchPaths([folder], onChange);
  await next();
  const writer = setInterval(() => void writeFile(at('a'), String(Date.now())), 10);
  expect(await next()).toBeGreaterThan(0);
  clearInterval(writer);
  end();
});

test('a file that is not there yet is waited for', async () => {
  const { onChange, next } = counter();
  const end = watchPaths([at('later')], onChange);
  await next();
  await writeFile(at('later'), 'here');
  expect(await next()).toBeGreaterThan(0);
  end();
});
