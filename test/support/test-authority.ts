import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Signed {
  readonly cert: string;
  readonly key: string;
}

export interface SignOptions {
  /** The text of openssl's extension file. */
  readonly extensions?: string;
  readonly rsa?: boolean;
  /** Negative: it has expired. Default: 1. */
  readonly days?: number;
}

const localhost = 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n';

/** A certificate authority that the openssl command made: a root, or one that another authority has signed. */
export class TestAuthority {
  private constructor(
    private readonly folder: string,
    readonly name: string,
  ) {}

  static root(name: string): TestAuthority {
    const authority = new TestAuthority(mkdtempSync(join(tmpdir(), 'vipwire-authority-')), name);
    authority.newKey(name);
    authority.openssl(
      'req',
      '-x509',
      '-key',
      `${name}.key`,
      '-subj',
      `/CN=${name}`,
      '-days',
      '2',
      '-out',
      `${name}.crt`,
    );
    return authority;
  }

  get cert(): string {
    return this.read(`${this.name}.crt`);
  }

  intermediate(name: string): TestAuthority {
    this.sign(name, { extensions: 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n' });
    return new TestAuthority(this.folder, name);
  }

  /** Default: the extensions of a server for 127.0.0.1 and localhost. */
  sign(name: string, { extensions = localhost, rsa = false, days = 1 }: SignOptions = {}): Signed {
    writeFileSync(join(this.folder, `${name}.ext`), extensions);
    this.newKey(name, rsa);
    this.openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`);
    const by = ['-CA', `${this.name}.crt`, '-CAkey', `${this.name}.key`, '-CAcreateserial', '-days', String(days)];
    this.openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-extfile', `${name}.ext`, '-out', `${name}.crt`);
    return { cert: this.read(`${name}.crt`), key: this.read(`${name}.key`) };
  }

  /** Removes an authority with everything that it signed. */
  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  private newKey(name: string, rsa = false): void {
    const kind = rsa ? ['RSA', '-pkeyopt', 'rsa_keygen_bits:2048'] : ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    this.openssl('genpkey', '-algorithm', ...kind, '-out', `${name}.key`);
  }

  private read(file: string): string {
    return readFileSync(join(this.folder, file), 'utf8');
  }

  private openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: ['ignore', 'ignore', 'ignore'] });
  }
}
