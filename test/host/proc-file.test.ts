import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readProcFile } from '../../src/host/proc-file';

const folder = mkdtempSync(join(tmpdir(), 'vipwire-proc-file-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function read(path: string): Promise<string> {
  let text = '';
  await readProcFile(path, (piece) => (text += piece));
  return text;
}

test('a file of the kernel, whose size is said to be 0', async () => {
  expect(await read('/proc/self/mountinfo')).toBe(readFileSync('/proc/self/mountinfo', 'utf8'));
});

test('a file of several pieces, while others get their turn', async () => {
  const path = join(folder, 'large');
  writeFileSync(path, 'a line of text\n'.repeat(20_000));
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  let text = '';
  await readProcFile(path, (piece) => {
    text += piece;
    for (const until = performance.now() + 6; performance.now() < until; );
  });
  clearInterval(timer);
  expect(text).toBe(readFileSync(path, 'utf8'));
  expect(turns).toBeGreaterThan(1);
});

test('what open says, and what the reader throws, is thrown', async () => {
  await expect(read(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  const refuse = (): never => {
    throw new Error('no');
  };
  await expect(readProcFile('/proc/self/status', refuse)).rejects.toThrow('no');
});
