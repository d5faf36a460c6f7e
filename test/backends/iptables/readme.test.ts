/** The sample in the backend's README is what the backend prints today. */
import { readFileSync } from 'node:fs';
import { main } from '../../../src/cli/main';

test('the sample is what vipwire render prints', async () => {
  const readme = readFileSync('src/backends/iptables/README.md', 'utf8');
  const args = /`vipwire (render [^`]+)`/.exec(readme)?.[1]?.split(/\s+/) ?? [];
  const sample = /^```\n(# default[^`]+)```$/m.exec(readme)?.[1];
  let printed = '';
  const stdout = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  try {
    await main([...args, '--ip-family', 'IPv4', '--logging-format', 'json']);
  } finally {
    stdout.mockRestore();
  }
  const [nat = ''] = printed.split('COMMIT\n');
  const rules = nat.split('\n').filter((line) => !/^(#\svipwire|[*:])/.test(line));
  expect(args.length).toBeGreaterThan(4);
  expect(rules.join('\n')).toBe(sample);
});
