/** TLS as Go's client does it, where Node's defaults differ. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext, type PeerCertificate, type SecureContext } from 'node:tls';

/** PEM texts and checks of a TLS connection. */
export interface TlsSettings {
  /** The trusted authorities; Node's own where there are none. */
  readonly ca?: string | readonly string[];
  readonly cert?: string;
  readonly key?: string;
  /** The name that the server's certificate must have, where that is not the URL's host. */
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** What node:https takes. */
export interface TlsOptions {
  readonly secureContext: SecureContext;
  readonly rejectUnauthorized: boolean;
  readonly servername?: string;
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
}

/** An IP address is never sent as a name (RFC 6066), but is still compared with the certificate. */
function nameOptions(servername: string): Pick<TlsOptions, 'servername' | 'checkServerIdentity'> {
  if (isIP(servername) === 0) return { servername };
  return { servername: '', checkServerIdentity: (_host, certificate) => checkServerIdentity(servername, certificate) };
}

/** OpenSSL does not report a certificate and a key of different kinds (EC, RSA). */
function isOfAnotherKey(cert: string, key: string): boolean {
  try {
    return !new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    // createSecureContext reports what cannot be read.
    return false;
  }
}

/** Throws where a certificate or key cannot be used. */
export function tlsOptions({ ca, cert, key, servername, rejectUnauthorized = true }: TlsSettings): TlsOptions {
  if (cert !== undefined && key !== undefined && isOfAnotherKey(cert, key))
    throw new Error("the client key is not the client certificate's");
  return {
    // One for all connections: with the system's authorities it takes about 10 ms to make.
    secureContext: createSecureContext({
      ...(ca === undefined ? {} : { ca: typeof ca === 'string' ? ca : [...ca] }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      minVersion: 'TLSv1.2',
      // Every certificate among the authorities is trusted, even an intermediate one: like Go, it needs no path to a root.
      allowPartialTrustChain: true,
    }),
    // Always given: NODE_TLS_REJECT_UNAUTHORIZED only affects connections that leave it out.
    rejectUnauthorized,
    ...(servername === undefined ? {} : nameOptions(servername)),
  };
}
