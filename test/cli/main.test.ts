import { readFileSync } from 'node:fs';
import { Bundle } from './bundle';

let bundle: Bundle;
beforeAll(() => {
  bundle = Bundle.make();
});
afterAll(() => bundle.remove());

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

test.each([[['--version']], [['run', '--version']]])("%j prints package.json's version", async (args) => {
  expect(await bundle.run(args)).toEqual({ code: 0, stdout: `vipwire ${version}\n`, stderr: '' });
});

test.each([[['--help']], [['help']], [['run', '--help']], [['render', '-h']], [['help', 'cleanup']]])(
  '%j',
  async (args) => {
    const { code, stdout, stderr } = await bundle.run(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('vipwire');
  },
);

test.each([
  [['rnder'], /^vipwire: unexpected argument "rnder": vipwire run takes only flags\n$/],
  [['--no-such-flag'], /^vipwire: unknown flag --no-such-flag\n$/],
  [['--proxy-mode=userspace', '--dry-run'], /^vipwire: .*userspace.*\n$/],
  [['--cluster-cidr'], /^vipwire: flag --cluster-cidr needs a value\n$/],
  [['help', 'rnder'], /^vipwire: there is no command "rnder".*\n$/],
])('%j is one line and exit 2', async (args, message) => {
  const { code, stdout, stderr } = await bundle.run(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(message);
});
