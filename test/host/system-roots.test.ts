import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { readSystemRoots } from '../../src/host/system-roots';

const [one = '', two = '', three = ''] = rootCertificates;
const folder = mkdtempSync(join(tmpdir(), 'vipwire-roots-'));
const bundle = join(folder, 'bundle.pem');
const [first, second] = [join(folder, 'first'), join(folder, 'second')];
beforeAll(() => {
  writeFileSync(bundle, `# with a comment\n${one}\n${two}\n${one}\n`);
  mkdirSync(first);
  mkdirSync(second);
  writeFileSync(join(first, 'two.pem'), two);
  writeFileSync(join(second, 'three.pem'), three);
  writeFileSync(join(second, 'notes'), 'not a certificate');
  symlinkSync(join(second, 'three.pem'), join(second, 'hash.0'));
  symlinkSync(join(second, 'gone'), join(second, 'dangling.0'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('SSL_CERT_FILE and SSL_CERT_DIR replace the usual places, and each certificate is there once', () => {
  expect(readSystemRoots({ SSL_CERT_FILE: bundle, SSL_CERT_DIR: `${first}:${second}` })).toEqual([one, two, three]);
  expect(readSystemRoots({ SSL_CERT_FILE: join(folder, 'none'), SSL_CERT_DIR: second })).toEqual([three]);
});

test('places that were named and have nothing leave no authority at all', () => {
  expect(readSystemRoots({ SSL_CERT_FILE: join(folder, 'none'), SSL_CERT_DIR: join(folder, 'none') })).toEqual([]);
});

test('without the variables there are always some', () => {
  expect(readSystemRoots({}).length).toBeGreaterThan(0);
});
