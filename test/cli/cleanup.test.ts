import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Bundle, type Ended } from './bundle';

let bundle: Bundle;
beforeAll(() => {
  bundle = Bundle.make();
});
afterAll(() => bundle.remove());

const saved = [
  '*nat',
  ':POSTROUTING ACCEPT [0:0]',
  ':KUBE-POSTROUTING - [0:0]',
  '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
  '-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE',
  'COMMIT',
  '',
].join('\n');

/**
 * Tools that print this as their save until a chain was deleted, and keep what is to be restored; `fails` says so and exits 4, `stays`
 * deletes nothing.
 */
function toolsFor(name: string, variants: Readonly<Record<string, string>>): string {
  const folder = join(bundle.folder, name);
  mkdirSync(folder);
  for (const [tool, text] of Object.entries(variants)) {
    const write = (file: string, script: string): void => {
      writeFileSync(join(folder, file), `#!/bin/sh\ncd ${folder}\n${script}\n`);
      chmodSync(join(folder, file), 0o755);
    };
    writeFileSync(join(folder, `${tool}.rules`), text === 'stays' ? saved : text);
    const deleted = text === 'stays' ? 'never' : '-X KUBE-POSTROUTING';
    const save =
      text === 'fails'
        ? 'echo "Permission denied (you must be root)" >&2; exit 4'
        : `/bin/grep -qs -e '${deleted}' ${tool}.restored || exec /bin/cat ${tool}.rules`;
    write(`${tool}-save`, save);
    write(`${tool}-restore`, `exec /bin/cat >> ${tool}.restored`);
  }
  return folder;
}

const cleanup = (tools: string, ...args: string[]): Promise<Ended> => bundle.run(['cleanup', ...args], { tools });
const everyTool = (text: string): Record<string, string> =>
  Object.fromEntries(
    ['iptables-nft', 'iptables-legacy', 'ip6tables-nft', 'ip6tables-legacy'].map((tool) => [tool, text]),
  );

test('every variant is cleaned of ours alone', async () => {
  const tools = toolsFor('both', everyTool(saved));
  const { code, stderr } = await cleanup(tools);
  expect(code).toBe(0);
  expect(stderr.match(/ "removed" /g)?.length).toBeGreaterThanOrEqual(2);
  for (const variant of ['nft', 'legacy'])
    expect(readFileSync(join(tools, `iptables-${variant}.restored`), 'utf8')).toBe(
      [
        '*nat',
        '-D POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
        'COMMIT',
        '*nat',
        ':KUBE-POSTROUTING - [0:0]',
        'COMMIT',
        '*nat',
        ':KUBE-POSTROUTING - [0:0]',
        '-X KUBE-POSTROUTING',
        'COMMIT',
        '',
      ].join('\n'),
    );
});

test('or the one that is asked for; --cleanup says the same', async () => {
  const tools = toolsFor('one', everyTool(saved));
  const { code } = await bundle.run(['--cleanup', '--iptables-variant=legacy', '--config=/nowhere'], { tools });
  expect(code).toBe(0);
  expect(() => readFileSync(join(tools, 'iptables-nft.restored'))).toThrow('ENOENT');
  expect(readFileSync(join(tools, 'iptables-legacy.restored'), 'utf8')).toContain('-X KUBE-POSTROUTING');
});

test('nothing to remove is no error, and nothing is written', async () => {
  const tools = toolsFor('nothing', everyTool('*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n'));
  const { code, stderr } = await cleanup(tools);
  expect(code).toBe(0);
  expect(stderr).toContain('nothing to remove');
  expect(() => readFileSync(join(tools, 'iptables-nft.restored'))).toThrow('ENOENT');
});

test('tools of one variant are enough', async () => {
  const { code } = await cleanup(toolsFor('nft-only', { 'iptables-nft': saved, 'ip6tables-nft': saved }));
  expect(code).toBe(0);
});

test('tools that fail: exit 1, and the others are cleaned', async () => {
  const tools = toolsFor('fails', { ...everyTool(saved), 'iptables-nft': 'fails' });
  const { code, stderr } = await cleanup(tools);
  expect(code).toBe(1);
  expect(stderr).toMatch(/cannot clean up" variant="nft" .*you must be root/);
  expect(readFileSync(join(tools, 'iptables-legacy.restored'), 'utf8')).toContain('-X KUBE-POSTROUTING');
});

test('"removed" is said of what is gone alone: exit 1, and what is left is named', async () => {
  const { code, stderr } = await cleanup(toolsFor('stays', { ...everyTool(saved), 'iptables-nft': 'stays' }));
  expect(code).toBe(1);
  expect(stderr).not.toMatch(/"removed" variant="nft" family="IPv4"/);
  expect(stderr).toMatch(
    /"still there after it was removed.*" variant="nft" .*left="nat KUBE-POSTROUTING; nat POSTROUTING/,
  );
});
