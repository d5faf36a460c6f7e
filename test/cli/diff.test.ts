import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Bundle, ended } from './bundle';

let bundle: Bundle;
let manifests = '';
let rules = '';
beforeAll(() => {
  bundle = Bundle.make();
  manifests = join(bundle.folder, 'manifests');
  cpSync(resolve('manifests/examples'), manifests, { recursive: true });
  rules = join(bundle.folder, 'rules.txt');
});
afterAll(() => bundle.remove());

const about = (): string[] => ['-f', manifests, '--node', 'node', '--cluster-cidr', '10.244.0.0/16,fd44::/16'];
const endpointRule = /^-A (KUBE-SVL-\S+) .* -j DNAT --to-destination 10\.244\.1\.3:8080$/m;

async function writeRules(edit: (text: string) => string = (text) => text): Promise<string[]> {
  const { stdout } = await bundle.run(['render', ...about(), '--ip-family', 'IPv4']);
  writeFileSync(rules, edit(stdout));
  return ['diff', ...about(), '--iptables-save', rules];
}

test('as it should be', async () => {
  expect(await bundle.run(await writeRules())).toMatchObject({
    code: 0,
    stdout: 'IPv4, node node, iptables mode: 14 services: as it should be\n',
  });
});

test('an edit: the rule, and that it is nobody of ours', async () => {
  const args = await writeRules((text) => text.replace(endpointRule, '$&\n-A $1 -s 192.0.2.1/32 -j DROP'));
  const { code, stdout } = await bundle.run(args);
  expect(stdout).toContain('14 services: 1 edited by somebody else');
  expect(stdout).toMatch(
    /^default\/local: edited by somebody else: 1 too many, 0 missing\n {2}added: -A KUBE-SVL-\S+ -s/m,
  );
  expect(stdout).toMatch(/^@@ nat KUBE-SVL-\S+ @@$/m);
  expect(stdout).toMatch(/^- -s 192\.0\.2\.1\/32 -j DROP$/m);
  expect(code).toBe(1);
  const summary = await bundle.run([...args, '-o', 'summary']);
  expect(summary.stdout).not.toContain('@@');
  const json = await bundle.run([...args, '-o', 'json']);
  expect(JSON.parse(json.stdout)).toMatchObject([{ differences: [{ service: 'default/local', cause: 'foreign' }] }]);
});

test('staleness, and --watch', async () => {
  const args = await writeRules();
  const file = join(manifests, 'load-balancer-local.yaml');
  const text = readFileSync(file, 'utf8');
  const child = bundle.start([...args, '--watch', '-o', 'summary']);
  const all = ended(child);
  const says = (what: string): Promise<void> =>
    new Promise((done) =>
      child.stdout?.on('data', (said: Buffer | string) => said.toString().includes(what) && done()),
    );
  await says('as it should be');
  const changed = says('1 stale');
  writeFileSync(file, text.replace('10.244.2.2', '10.244.2.9'));
  await changed;
  child.kill();
  expect((await all).stdout).toMatch(
    /^\d{4}-\S+Z\nIPv4.*\n\n\d{4}-\S+Z\nIPv4.*1 stale\ndefault\/local: stale: 1 too many, 1 missing\n {2}matches another state of the Service\n/,
  );
  writeFileSync(file, text);
}, 20_000);

test.each([
  ['no tools here', [], /no rules of a service proxy here/],
  ['nftables', ['--nft', '/dev/null'], /unknown flag --nft/],
])('%s: one line, exit 2', async (_, more, message) => {
  const { code, stderr } = await bundle.run(['diff', ...about(), ...more]);
  expect(stderr).toMatch(message);
  expect(code).toBe(2);
});
