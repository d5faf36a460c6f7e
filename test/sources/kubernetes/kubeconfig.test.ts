import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../../src/model/user-error';
import { type Kubeconfig, parseKubeconfig } from '../../../src/sources/kubernetes/kubeconfig';

const read = (text: string): Kubeconfig => parseKubeconfig(text, '/etc/k/config', false);
const config = (cluster: string, user: string): string =>
  `clusters: [{name: c, cluster: ${cluster}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\nusers: [{name: u, user: ${user}}]\n`;

test('doubled keys and merge keys are read as kubectl reads them', () => {
  const text = readFileSync(join(__dirname, '..', 'reported', 'kubeconfig-double-key'), 'utf8');
  expect(read(text)).toEqual({ server: 'https://192.0.2.1:6443', token: 't' });
  expect(read(`${config('{server: https://a}', '{token: t, token: last}')}kind: Config\nkind: Config\n`)).toMatchObject(
    {
      token: 'last',
    },
  );
  expect(read(config('{server: https://a, insecure-skip-tls-verify: yes}', '{}'))).toMatchObject({ insecure: true });
});

test.each([
  [config('{server: https://a}', '{token: 12345}'), 'user u: token: want text, got a number'],
  [config('{server: https://a}', '{password: [s3cret], username: u}'), 'user u: password: want text, got a list'],
  [config('{server: 7}', '{}'), 'cluster c: server: want text, got a number'],
  [
    config('{server: https://a, insecure-skip-tls-verify: "true"}', '{}'),
    'cluster c: insecure-skip-tls-verify: want true or false, got a string',
  ],
  ['current-context: yes\n', 'current-context: want text, got a boolean'],
  ['clusters: [\n', /^line \d+: /],
  ['- a\n', 'no current-context'],
  ['', 'no current-context'],
  [`a: ${'['.repeat(3000)}${']'.repeat(3000)}\n`, 'line 1: nested more than 300 deep: not read'],
])('what cannot be read is one line without its value (%#)', (text, message) => {
  const refused = (): unknown => read(text);
  expect(refused).toThrow(UserError);
  const pattern =
    typeof message === 'string'
      ? `kubeconfig /etc/k/config: ${message}`
      : /kubeconfig \/etc\/k\/config: line \d+: [^\n]*$/;
  expect(refused).toThrow(pattern);
  expect(refused).not.toThrow(/12345|s3cret|\n/);
});
