/** The authorities that this system trusts, found as Go finds them on Linux (crypto/x509). */
import { readdirSync, readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';

const files = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
const folders = ['/etc/ssl/certs', '/etc/pki/tls/certs'];
const certificate = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
/** A larger file is not a bundle of authorities. */
const mostBytes = 16 * 1024 * 1024;

function certificatesIn(path: string): readonly string[] | undefined {
  try {
    const text = readFileSync(path, 'latin1');
    return text.length > mostBytes ? [] : (text.match(certificate) ?? []);
  } catch {
    return undefined;
  }
}

function entriesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile() || entry.isSymbolicLink())
      .map(({ name }) => `${folder}/${name}`);
  } catch {
    return [];
  }
}

/**
 * Returns PEM texts, each once. SSL_CERT_FILE and SSL_CERT_DIR (folders, separated by colons) replace the usual places. Where the
 * usual places have none, as in a container without ca-certificates, it returns the certificates that Node was built with.
 */
export function readSystemRoots(environment: Readonly<Record<string, string | undefined>>): readonly string[] {
  const { SSL_CERT_FILE: file = '', SSL_CERT_DIR: folder = '' } = environment;
  const roots = new Set<string>();
  for (const path of file === '' ? files : [file]) {
    const found = certificatesIn(path);
    found?.forEach((pem) => roots.add(pem));
    if (found !== undefined) break;
  }
  for (const each of folder === '' ? folders : folder.split(':'))
    for (const path of entriesOf(each)) certificatesIn(path)?.forEach((pem) => roots.add(pem));
  return roots.size === 0 && file === '' && folder === '' ? rootCertificates : [...roots];
}
